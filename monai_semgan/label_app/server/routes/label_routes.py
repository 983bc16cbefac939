"""`/datastore/label`: labels of images, by ids and tags that exist."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, UploadFile
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.endpoints.datastore import download_label
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semgan.label_app.image_ids import is_tag
from monai_semgan.label_app.server.checked_forms import CheckedRoute
from monai_semgan.label_app.server.received_files import discard
from monai_semgan.label_app.server.received_labels import receive_label
from monai_semgan.label_app.server.routes.shared import (
    ADMIN,
    USER,
    json_object,
    known_image,
    known_label,
    running_app,
)

router = APIRouter(prefix="/datastore", tags=["Datastore"], route_class=CheckedRoute)

LABELLER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
Sent = Annotated[UploadFile, File()]


@router.put("/label", summary="Save Finished Label")
def save_label(
    image: str,
    label: Sent,
    params: str = Form("{}"),
    tag: str = DefaultLabelTag.FINAL.value,
    user: User = LABELLER,
) -> dict[str, Any]:
    """Save a label that lies on the grid of its image."""
    info = _with_user(json_object(params), user)
    tag = tag or DefaultLabelTag.FINAL.value
    if not is_tag(tag):
        raise HTTPException(422, "the tag of the label cannot be used; use letters, digits, . _ and -")
    received = receive_label(label, known_image(image))
    app = running_app()
    try:
        saved = app.datastore().save_label(image, str(received.path), tag, info)
        return {**(app.on_save_label(image, saved) or {}), "image": image, "label": saved}
    finally:
        discard(received.path)


@router.delete("/label", dependencies=[ADMIN], summary="Remove Label")
def remove_label(id: str, tag: str) -> dict[str, Any]:
    """Remove a label."""
    known_label(id, tag)
    running_app().datastore().remove_label(id, tag)
    return {}


@router.head("/label", dependencies=[USER], summary="Check If Label Exists")
def check_label_exists(image: str, tag: str) -> Response:
    """Tell whether there is such a label."""
    known_label(image, tag)
    return Response()


@router.get("/label", dependencies=[USER], summary="Download Label")
def get_label(label: str, tag: str) -> Any:
    """Return the file of a label."""
    known_label(label, tag)
    return download_label(label, tag)


@router.get("/label/info", dependencies=[USER], summary="Get Label Info")
def get_label_info(label: str, tag: str) -> Any:
    """Return what is noted of a label."""
    known_label(label, tag)
    return running_app().datastore().get_label_info(label, tag)


@router.put("/label/info", summary="Update Label Info")
def put_label_info(label: str, tag: str, info: str = Form("{}"), user: User = LABELLER) -> Any:
    """Note something of a label."""
    known_label(label, tag)
    return running_app().datastore().update_label_info(label, tag, _with_user(json_object(info, "info"), user))


@router.put("/updatelabelinfo", include_in_schema=False)
def update_label_info(label: str, tag: str, params: str = Form("{}"), user: User = LABELLER) -> Any:
    """Serve the former name of the route before."""
    return put_label_info(label, tag, params, user)


def _with_user(info: dict[str, Any], user: User) -> dict[str, Any]:
    return {**info, "user": user.username} if user.username else info
