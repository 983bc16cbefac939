"""`/datastore`: images and labels, by ids and tags that exist."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.config import settings
from monailabel.endpoints.datastore import ResultType
from monailabel.endpoints.datastore import datastore as stock_datastore
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.utils.others.generic import get_mime_type

from monai_semgan.jobs.api.callers import asker_of
from monai_semgan.jobs.api.own_threads import READING, OwnThreads
from monai_semgan.jobs.service import JobService
from monai_semgan.label_app.datastore import StudiesDatastore
from monai_semgan.label_app.image_ids import is_image_id
from monai_semgan.label_app.infer_request import EXTENSIONS
from monai_semgan.label_app.server.checked_forms import CheckedRoute
from monai_semgan.label_app.server.dataset_archive import ArchiveResponse
from monai_semgan.label_app.server.received_files import check_image, discard, plain_name, receive
from monai_semgan.label_app.server.routes.shared import (
    ADMIN,
    ANNOTATOR,
    USER,
    check_image_id,
    json_object,
    known_image,
    running_app,
)

router = APIRouter(prefix="/datastore", tags=["Datastore"], route_class=CheckedRoute)
uploads_router = APIRouter(prefix="/semgan/uploads", tags=["Datastore"], route_class=CheckedRoute)

LABELLER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
IMAGE_EXTENSIONS = tuple(ending for ending in EXTENSIONS if ending != ".seg.nrrd")
Sent = Annotated[UploadFile, File()]
ALGORITHMS = ("SHA256", "SHA512", "MD5")

FILES = OwnThreads(8, 120, "downloads and checksums")
"""Requests that look for files of images, or read them whole."""


@router.get("/", dependencies=[USER], summary="Get All Images/Labels from datastore")
def contents(output: ResultType | None = None) -> Any:
    """Return counts, ids, or a data list."""
    return stock_datastore(output)


@router.put("/", include_in_schema=False)
@router.put("/image", summary="Upload new Image")
async def add_image(
    file: Sent, image: str | None = None, params: str = Form("{}"), user: User = LABELLER
) -> dict[str, str]:
    """Add an image that can be read."""
    return await READING.run(_add_image, file, image, params, user)


def _add_image(file: UploadFile, image: str | None, params: str, user: User) -> dict[str, str]:
    info = _with_user(json_object(params), user)
    image = image or _without_ending(file.filename)
    _check_id(image)
    path = receive(file, IMAGE_EXTENSIONS)
    check_image(path)
    try:
        return _keep_image(image, path, info)
    finally:
        discard(path)


def _check_id(image: str) -> None:
    if not is_image_id(image):
        raise HTTPException(422, "the id of the image cannot be used; use letters, digits, . _ and -")


def _keep_image(image: str, path: Path, info: dict[str, Any]) -> dict[str, str]:
    store = running_app().datastore()
    if isinstance(store, StudiesDatastore) and store.is_original(image):
        raise HTTPException(409, "an original of the studies has that id, which is never replaced; choose another")
    if store.get_labels_by_image_id(image):
        raise HTTPException(409, "labels belong to the image of that id; choose another id")
    return {"image": store.add_image(image, str(path), info)}


@uploads_router.put("/{upload}/image", summary="Make a volume that was sent for jobs an image of the studies")
async def keep_upload(request: Request, upload: str, image: str, user: User = LABELLER) -> dict[str, str]:
    """Copy an upload, which was read when it came, into the studies."""
    _check_id(image)
    service: JobService = request.app.state.semgan_jobs
    path = service.reception.file(upload, asker_of(request))
    return await FILES.run(_keep_image, image, path, _with_user({}, user))


@router.delete("/", dependencies=[ADMIN], include_in_schema=False)
@router.delete("/image", dependencies=[ADMIN], summary="Remove Image and corresponding labels")
def remove_image(id: str) -> dict[str, Any]:
    """Remove an image and its labels."""
    check_image_id(id)
    running_app().datastore().remove_image(id)
    return {}


@router.head("/image", dependencies=[USER], summary="Check If Image Exists")
async def check_image_exists(image: str, check_sum: str | None = None) -> Any:
    """Tell whether there is such an image, and with this checksum."""
    return await FILES.run(_check_image_exists, image, check_sum)


def _check_image_exists(image: str, check_sum: str | None) -> Response:
    known_image(image)
    algorithm = check_sum.split(":")[0] if check_sum and ":" in check_sum else "SHA256"
    if algorithm not in ALGORITHMS:
        raise HTTPException(422, f"unknown checksum; use one of {', '.join(ALGORITHMS)}")
    digest = check_sum if not check_sum or ":" in check_sum else f"SHA256:{check_sum}"
    if digest and not _has_digest(image, digest, algorithm):
        raise HTTPException(404, "the image has another checksum")
    return Response()


@router.get("/image", dependencies=[USER], summary="Download Image")
async def get_image(image: str) -> Any:
    """Return the file of an image."""
    return await FILES.run(_image_response, image)


def _image_response(image: str) -> FileResponse:
    path = known_image(image)
    if not os.path.isfile(path):
        raise HTTPException(404, "the file of this image has gone")
    facts = os.stat(path)
    name = str(running_app().datastore().get_image_info(image).get("name") or os.path.basename(path))
    return FileResponse(path, media_type=get_mime_type(path), filename=name, stat_result=facts)


@router.get("/image/info", dependencies=[USER], summary="Get Image Info")
def get_image_info(image: str) -> Any:
    """Return what is noted of an image."""
    check_image_id(image)
    return running_app().datastore().get_image_info(image)


@router.put("/image/info", summary="Update Image Info")
def put_image_info(image: str, info: str = Form("{}"), user: User = LABELLER) -> Any:
    """Note something of an image."""
    check_image_id(image)
    told = json_object(info, "info")
    if not isinstance(told.get("strategy", {}), dict):
        raise HTTPException(422, "strategy in info is no JSON object; the strategies keep their notes there")
    return running_app().datastore().update_image_info(image, _with_user(told, user))


@router.get("/dataset", dependencies=[ANNOTATOR], summary="Download full dataset as ZIP archive")
async def get_dataset(limit_cases: int | None = None) -> ArchiveResponse:
    """Send the images with final labels as a zip."""
    return await FILES.run(ArchiveResponse, running_app().datastore(), limit_cases)


def _with_user(info: dict[str, Any], user: User) -> dict[str, Any]:
    return {**info, "user": user.username} if user.username else info


def _without_ending(name: str | None) -> str:
    plain = plain_name(name)
    ending = max((ending for ending in EXTENSIONS if plain.lower().endswith(ending)), key=len, default="")
    return plain[: len(plain) - len(ending)]


def _has_digest(image: str, digest: str, algorithm: str) -> bool:
    from monailabel.utils.others.generic import file_checksum

    return bool(file_checksum(Path(known_image(image)), algo=algorithm) == digest)
