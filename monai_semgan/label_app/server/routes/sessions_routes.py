"""`/session`: a volume that is sent once and segmented several times, without the datastore."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse
from monailabel.utils.others.generic import get_basename, get_mime_type

from monai_semgan.jobs.api.own_threads import READING
from monai_semgan.label_app.server.checked_forms import CheckedRoute
from monai_semgan.label_app.server.options import MEGABYTE
from monai_semgan.label_app.server.received_files import check_image, plain_name, unpack
from monai_semgan.label_app.server.routes.shared import USER, running_app

router = APIRouter(prefix="/session", tags=["Session"], route_class=CheckedRoute)


@router.get("/{session_id}", dependencies=[USER], summary="Get Session ID")
def get_session(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
    """Return facts of a session, or its image."""
    info = _sessions().get_session(session_id, update_ts=update_ts)
    if info is None:
        raise HTTPException(404, "unknown or expired session")
    if not image:
        return info.to_json()
    if not Path(info.image).is_file():
        raise HTTPException(422, "the image of this session is a folder of files")
    return FileResponse(info.image, media_type=get_mime_type(info.image), filename=get_basename(info.image))


@router.put("/", dependencies=[USER], summary="Create new session with Image")
async def create_session(
    request: Request, files: Annotated[list[UploadFile], File()], uncompress: bool = False, expiry: int = 0
) -> dict[str, Any]:
    """Keep a volume: one file, an archive, or the files of a DICOM series."""
    limit_bytes = request.app.state.options.upload_limit_mb * MEGABYTE
    return await READING.run(_create_session, files, expiry, limit_bytes if uncompress else None)


def _create_session(files: list[UploadFile], expiry: int, unpack_limit_bytes: int | None) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="semgan_"))
    try:
        image = _received(files, folder)
        if unpack_limit_bytes is not None and image.is_file():
            image = _unpacked(image, unpack_limit_bytes)
        check_image(image)
        session_id, info = _sessions().add_session(str(image), max(expiry, 0), session_id=str(uuid.uuid4()))
        return {"session_id": session_id, "session_info": info.to_json()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@router.delete("/{session_id}", dependencies=[USER], summary="Delete Session")
def remove_session(session_id: str) -> Any:
    """Forget a session and its image."""
    info = _sessions().get_session(session_id)
    if info is None:
        raise HTTPException(404, "unknown or expired session")
    _sessions().remove_session(session_id)
    return info.to_json()


def _sessions() -> Any:
    sessions = running_app().sessions()
    if sessions is None:
        raise HTTPException(406, "sessions are switched off")
    return sessions


def _received(files: list[UploadFile], folder: Path) -> Path:
    """Return the file, or the folder of several, that was sent."""
    several = folder / "image"
    several.mkdir()
    for number, upload in enumerate(files):
        name = plain_name(upload.filename)
        with (several / (f"{number:05d}_{name}" if len(files) > 1 else name)).open("wb") as stream:
            shutil.copyfileobj(upload.file, stream, MEGABYTE)
    return several if len(files) > 1 else next(several.iterdir())


def _unpacked(archive: Path, limit_bytes: int) -> Path:
    """Return the file, or the folder of several, in an archive."""
    folder = archive.parent.parent / "unpacked"
    folder.mkdir()
    unpack(archive, folder, limit_bytes)
    found = list(folder.iterdir())
    return found[0] if len(found) == 1 else folder
