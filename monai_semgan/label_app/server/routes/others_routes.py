"""The rest of MONAI Label's routes: pages, log, weights; and those that make no sense here."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, PlainTextResponse
from monailabel.endpoints.ohif import get_ohif
from monailabel.utils.others.generic import file_checksum

from monai_semgan.label_app.server.routes.shared import ADMIN, USER, known_name, running_app

router = APIRouter(tags=["Others"])

FIXED = "the model is chosen when the server starts; start it with --bundle"


@router.get("/logs/", dependencies=[ADMIN], summary="Get Logs")
def logs(request: Request, lines: int = 300, html: bool = True, text: bool = False, refresh: int = 0) -> Any:
    """Return the end of the server's log, always as plain text."""
    log_file: Path = request.app.state.options.log_file
    if not log_file.is_file():
        raise HTTPException(404, "there is no log")
    if lines <= 0:
        return FileResponse(log_file, media_type="text/plain")
    with log_file.open(encoding="utf-8", errors="replace") as stream:
        return PlainTextResponse("".join(deque(stream, min(lines, 100_000))))


@router.get("/logs/gpu", dependencies=[ADMIN], summary="Get GPU Info (nvidia-smi)")
def gpu() -> PlainTextResponse:
    """Return what `nvidia-smi` tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        raise HTTPException(404, "this computer has no nvidia-smi, thus no NVIDIA GPU to tell of")
    try:
        told = subprocess.run([tool], capture_output=True, encoding="utf-8", errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HTTPException(503, "nvidia-smi does not answer") from error
    return PlainTextResponse(told.stdout)


@router.get("/model/info/{model}", dependencies=[ADMIN], tags=["Model"], summary="Get details of the Model File")
def model_info(model: str) -> Any:
    """Return checksum and time of the weights."""
    known_name(model, running_app().info()["models"], "model")
    weights = running_app().weights()  # type: ignore[attr-defined]
    return {"checksum": file_checksum(weights), "modified_time": int(weights.stat().st_mtime)}


@router.get("/model/{model}", dependencies=[ADMIN], tags=["Model"], summary="Download Latest Model Weights")
def get_model(model: str) -> FileResponse:
    """Return the weights."""
    known_name(model, running_app().info()["models"], "model")
    weights = running_app().weights()  # type: ignore[attr-defined]
    return FileResponse(weights, media_type="application/octet-stream", filename=f"{model}{weights.suffix}")


@router.put("/model/{model}", dependencies=[ADMIN], tags=["Model"], summary="Weights cannot be changed here")
@router.delete("/model/{model}", dependencies=[ADMIN], tags=["Model"], summary="Weights cannot be changed here")
def change_model(model: str) -> None:
    """Refuse."""
    known_name(model, running_app().info()["models"], "model")
    raise HTTPException(403, FIXED)


@router.post("/reload", dependencies=[ADMIN], include_in_schema=False)
def reload() -> None:
    """Refuse: MONAI Label's would start a second app beside the first."""
    raise HTTPException(403, "stop the server and start it again")


@router.api_route("/proxy/dicom/{path:path}", methods=["GET", "POST"], dependencies=[USER], include_in_schema=False)
def dicom_proxy(path: str) -> None:
    """Refuse: no DICOMweb server stands behind a folder of studies; one that does would be reached here."""
    raise HTTPException(404, "no DICOMweb server stands behind this one")


@router.get("/ohif/{path:path}", dependencies=[USER], include_in_schema=False)
def ohif(path: str) -> Any:
    """Return the viewer's page."""
    if any(part in ("", ".", "..") for part in path.split("/") if path):
        raise HTTPException(404, "no such page")
    return get_ohif(path)
