"""`/datastore/label`: labels of images, by ids and tags that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, HTTPException, Request, UploadFile
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag

from monai_semgan.jobs.api.own_threads import OwnThreads
from monai_semgan.label_app.image_ids import is_tag
from monai_semgan.label_app.label_facts import OWN_KEYS, etag_of
from monai_semgan.label_app.label_numbers import Ids, ids_by_name, model_ids, naming_all, with_ids
from monai_semgan.label_app.server import tokens
from monai_semgan.label_app.server.checked_forms import CheckedRoute
from monai_semgan.label_app.server.label_conditions import ALLOW_EMPTY, Expected, check_ids, quoted, saving
from monai_semgan.label_app.server.open_file_response import OpenFileResponse
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

SAVING = OwnThreads(8, 240, "labels")
"""Labels that were received and are read, one after the other, and saved."""


def expected_label(
    if_match: Annotated[str | None, Header()] = None, if_none_match: Annotated[str | None, Header()] = None
) -> Expected:
    """Return what a request expects of the label that is there."""
    return Expected(if_match, if_none_match)


def noted(info: dict[str, Any], user: User) -> dict[str, Any]:
    """Return what a client wants noted of a label, with its user, and without what only the server notes."""
    told = {key: value for key, value in info.items() if key not in OWN_KEYS}
    return {**told, **({"user": user.username} if user.username else {})}


def logged_in(user: User) -> str:
    """Return the user of MONAI Label's log-in; empty without one, where all are called the same."""
    return str(user.username or "") if tokens.enabled() else ""


@router.put("/label", summary="Save Finished Label")
async def save_label(
    connection: Request,
    image: str,
    label: Sent,
    response: Response,
    expected: Annotated[Expected, Depends(expected_label)],
    params: str = Form("{}"),
    tag: str = DefaultLabelTag.FINAL.value,
    user: User = LABELLER,
) -> dict[str, Any]:
    """Save a label that fills the points of its image; the one that was there is kept as a version."""
    info = noted(json_object(params), user)
    if name := logged_in(user):
        info["annotator"] = name
    models, known = _ids(connection, info.get("model")), _known_names(connection, info.get("model"))
    saved = await SAVING.run(_save, image, label, tag or DefaultLabelTag.FINAL.value, info, expected, models, known)
    response.headers["ETag"] = quoted(saved.pop("etag"))
    return saved


def _ids(connection: Request, model: object) -> Ids:
    """Label ids of the model that a label is made from; of the default one where that is none of this server."""
    served = connection.app.state.semgan_jobs.models.get(model) if isinstance(model, str) else None
    if served is None:
        return model_ids(running_app())
    return ids_by_name((name, index) for index, name in served.labels.items())


def _known_names(connection: Request, model: object) -> dict[int, str]:
    """Names by label id of the model that a label is made from; of all, the default one's first, where none is told."""
    served = connection.app.state.semgan_jobs.models
    if isinstance(model, str) and model in served:
        return dict(served[model].labels)
    return {index: name for one in reversed(list(served.values())) for index, name in one.labels.items()}


def _save(
    image: str,
    label: UploadFile,
    tag: str,
    info: dict[str, Any],
    expected: Expected,
    models: Ids,
    known: Mapping[int, str],
) -> dict[str, Any]:
    if not is_tag(tag):
        raise HTTPException(422, "the tag of the label cannot be used; use letters, digits, . _ and -")
    app = running_app()
    store = app.datastore()
    received = receive_label(label, known_image(image), models, info.get("label_info"))
    try:
        if "label_info" in info:
            info["label_info"] = with_ids(info["label_info"], received.names)
        check_ids(received, models, info.get("label_info"))
        if not received.names and received.ids:
            info["label_info"] = naming_all(info.get("label_info"), received.ids, known)
        condition = saving(expected, received, info)
        noted_of_it = {key: value for key, value in info.items() if key != ALLOW_EMPTY}
        saved = store.save_label(image, str(received.path), tag, noted_of_it, condition)
        etag = etag_of(received.path)  # not of what is there now, which may be another reader's already
        told = app.on_save_label(image, saved) if tag == DefaultLabelTag.FINAL.value else None
        return {**(told or {}), "image": image, "label": saved, "etag": etag}
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
    """Tell whether there is such a label, and which."""
    known_label(image, tag)
    present = running_app().datastore().present_label(image, tag)
    if present is None:
        raise HTTPException(404, "the label has just been removed")
    return Response(headers={"ETag": quoted(present.facts.etag)})


@router.get("/label", dependencies=[USER], summary="Download Label")
def get_label(label: str, tag: str) -> Any:
    """Return the file of a label."""
    known_label(label, tag)
    opened = running_app().datastore().open_label(label, tag)
    if opened is None:
        raise HTTPException(404, "the label has just been removed")
    stream, present = opened
    return OpenFileResponse(stream, present.file.name, present.facts.etag)


@router.get("/label/info", dependencies=[USER], summary="Get Label Info")
def get_label_info(label: str, tag: str) -> Any:
    """Return what is noted of a label."""
    known_label(label, tag)
    return running_app().datastore().get_label_info(label, tag)


@router.put("/label/info", summary="Update Label Info")
def put_label_info(label: str, tag: str, info: str = Form("{}"), user: User = LABELLER) -> Any:
    """Note something of a label."""
    known_label(label, tag)
    return running_app().datastore().update_label_info(label, tag, noted(json_object(info, "info"), user))


@router.put("/updatelabelinfo", include_in_schema=False)
def update_label_info(label: str, tag: str, params: str = Form("{}"), user: User = LABELLER) -> Any:
    """Serve the former name of the route before."""
    return put_label_info(label, tag, params, user)
