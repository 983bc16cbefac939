"""`/infer`: as MONAI Label's, but on a thread of its own, so that the server answers meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, Request, UploadFile
from fastapi.background import BackgroundTasks
from monailabel.endpoints.infer import ResultType, send_response

from monai_semgan.jobs.api.callers import asker_of
from monai_semgan.jobs.api.own_threads import OwnThreads
from monai_semgan.jobs.ownership import Asker
from monai_semgan.label_app.infer_request import SENT_ENDINGS
from monai_semgan.label_app.interactive_tasks import SCRIBBLES, STRUCTURE, CorrectingTask, ScribblesTask
from monai_semgan.label_app.server.checked_forms import CheckedRoute
from monai_semgan.label_app.server.received_files import check_unread_image, discard, receive
from monai_semgan.label_app.server.routes.shared import (
    USER,
    check_tag_and_labels,
    json_object,
    known_image,
    known_name,
    running_app,
)

router = APIRouter(prefix="/infer", tags=["Infer"], route_class=CheckedRoute)

INFERENCES = OwnThreads(64, 64, "inferences")
"""Those beyond the first wait for one of them; their answers may take minutes."""

LOOK_SECONDS = 0.5
RESERVED = ("image", "model", "session", "label", "description", SCRIBBLES, STRUCTURE)
"""Names in a request that routes set; MONAI Label lets `params` replace them."""


@router.post("/wsi/{model}", dependencies=[USER], include_in_schema=False)
@router.post("/wsi_v2/{model}", dependencies=[USER], summary="No model here works on whole-slide images")
def whole_slide(model: str) -> None:
    """Answer that there are no such models."""
    raise HTTPException(404, "this server has no models for whole-slide images")


@dataclass
class Asked:
    """What a request to `/infer/MODEL` asks for, as MONAI Label's clients send it; FastAPI reads the fields.

    Attributes:
        model: name of the task.
        image: id in the datastore.
        session_id: of a session with an image.
        params: JSON object.
        file: the image itself.
        label: a label map with scribbles, for the models that take them.
        output: what the answer holds.
    """

    model: str
    image: str = ""
    session_id: str = ""
    params: str = Form("{}")
    file: Annotated[UploadFile | None, File()] = None
    label: Annotated[UploadFile | None, File()] = None
    output: ResultType | None = None


@router.post("/{model}", dependencies=[USER], summary="Run Inference for supported model")
async def infer(connection: Request, background: BackgroundTasks, asked: Annotated[Asked, Depends()]) -> Any:
    """Segment an image of the datastore, of a session, or of the request, and answer with label and facts.

    Ends early when the client has gone.
    """
    gone, asker = threading.Event(), asker_of(connection)
    watching = asyncio.create_task(_watch(connection, gone))
    try:
        return await INFERENCES.run(_infer, gone.is_set, asker, background, asked)
    finally:
        watching.cancel()


async def _watch(connection: Request, gone: threading.Event) -> None:
    while not await connection.is_disconnected():
        await asyncio.sleep(LOOK_SECONDS)
    gone.set()


def _infer(gone: Callable[[], bool], asker: Asker, background: BackgroundTasks, asked: Asked) -> Any:
    app: Any = running_app()
    known_name(asked.model, app.info()["models"], "model")
    task = app._infers[asked.model]
    params = json_object(asked.params)
    named = {STRUCTURE: params.pop("label", None)} if isinstance(task, CorrectingTask) else {}
    request = {**_checked(params, asked.output), **named, "model": asked.model}
    if asked.label is not None and not isinstance(task, ScribblesTask):
        raise HTTPException(422, "this model takes no label as input")
    with _image(asked) as image, _label(asked) as label, app.stoppable(gone, asker):
        result = app.infer({**request, **label, "image": image})
    return _answer(result, asked.output, background)


def _answer(result: Any, output: ResultType | None, background: BackgroundTasks) -> Any:
    """Answer with a result, whose file is removed before the answer goes out where it holds a copy.

    MONAI Label's client gives what it receives the name of this file, in the same folder if nobody tells it another
    one: on one computer it would lose its copy to a removal that comes later.
    """
    if output == ResultType.image:
        return send_response(running_app().datastore(), result, output, background)
    removals = BackgroundTasks()
    response = send_response(running_app().datastore(), result, output, removals)
    for removal in removals.tasks:
        removal.func(*removal.args, **removal.kwargs)
    return response


@contextlib.contextmanager
def _label(asked: Asked) -> Iterator[dict[str, Path]]:
    """Yield what a request gets of the label map that was sent."""
    if asked.label is None:
        yield {}
        return
    path = receive(asked.label)
    try:
        yield {SCRIBBLES: path}
    finally:
        discard(path)


@contextlib.contextmanager
def _image(asked: Asked) -> Iterator[str]:
    """Yield the file, or the id in the datastore, of the image that is asked for."""
    if asked.file is not None:
        path = receive(asked.file, SENT_ENDINGS)  # the worker tells if it cannot be read
        check_unread_image(path)
        try:
            yield str(path)
        finally:
            discard(path)
    elif asked.session_id:
        with _session_image(asked.session_id) as image:
            yield image
    elif asked.image:
        known_image(asked.image)
        yield asked.image
    else:
        raise HTTPException(422, "give an image id, a file or a session id")


def _checked(params: dict[str, Any], output: ResultType | None) -> dict[str, Any]:
    named = [name for name in RESERVED if name in params]
    if named:
        raise HTTPException(422, f"params must not set {', '.join(named)}")
    check_tag_and_labels(params)
    if output == ResultType.dicom_seg:
        raise HTTPException(422, "DICOM SEG needs a DICOM datastore; take result_extension .seg.nrrd or .nii.gz")
    return params


@contextlib.contextmanager
def _session_image(session_id: str) -> Iterator[str]:
    sessions = running_app().sessions()
    if sessions is None:
        raise HTTPException(404, "unknown or expired session")
    with sessions.using(session_id) as session:
        if session is None:
            raise HTTPException(404, "unknown or expired session")
        yield str(session.image)
