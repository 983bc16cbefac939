"""Routes that take volumes in: in one go, or in parts, which go on where a broken connection left them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from monai_semgan.jobs.api.answers import BINARY, BYTES, errors
from monai_semgan.jobs.api.callers import asker_of
from monai_semgan.jobs.api.own_threads import READING
from monai_semgan.jobs.contract import Upload, UploadProgress
from monai_semgan.jobs.job_errors import JobError, WrongMedia
from monai_semgan.jobs.ownership import Asker
from monai_semgan.jobs.reception import Reception
from monai_semgan.jobs.service import JobService
from monai_semgan.jobs.storage.partial_uploads import SUFFIXES

BLOCK = 2**20
BLOCK_SECONDS = 1.0
"""So that a slow network loses little when the server is killed."""

Found = TypeVar("Found")

ID = {"pattern": "^[0-9a-f]{32}$"}
UploadPath = Annotated[str, Path(description="id of an upload", json_schema_extra=ID)]
Suffix = Annotated[str, Query(description="ending of the file", json_schema_extra={"enum": list(SUFFIXES)})]
Count = Annotated[int, Query(alias="bytes", ge=1, le=2**62, description="size of the whole file")]
Offset = Annotated[int, Query(ge=0, le=2**62, description="bytes of the file before this part: `received`")]

BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {BYTES: BINARY}}}


def add_upload_routes(router: APIRouter, service: JobService) -> None:
    """Add the routes of uploads.

    Args:
        router: gets them.
        service: does the work.
    """
    _add_whole(router, service)
    _add_parts(router, service)


def _add_whole(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/uploads",
        operation_id="upload",
        summary="Send a volume for jobs to use, as it is, in one go",
        status_code=201,
        responses=errors(413, 415, 422, 429, 503, 507),
        openapi_extra=BODY,
    )
    async def upload(request: Request, suffix: Suffix) -> Upload:
        _check_kind(request)
        reception, asker = service.reception, asker_of(request)
        length = request.headers.get("content-length", "")
        expected = int(length) if length.isdigit() else None
        receiving = reception.receiving(suffix, expected, asker)
        return await _receive(request, reception, receiving, lambda incoming: incoming.write, reception.accept)

    @router.delete(
        "/uploads/{upload}",
        operation_id="remove_upload",
        summary="Remove an upload, whole or not, that no unfinished job uses",
        status_code=204,
        responses=errors(403, 404, 409, 422),
    )
    def remove_upload(request: Request, upload: UploadPath) -> None:
        service.reception.remove(upload, asker_of(request))


def _add_parts(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/uploads/parts",
        operation_id="begin_upload",
        summary="Begin an upload that is sent in parts",
        status_code=201,
        responses=errors(413, 422, 429, 503, 507),
    )
    def begin_upload(request: Request, suffix: Suffix, count: Count) -> UploadProgress:
        return service.reception.begin(suffix, count, asker_of(request))

    @router.patch(
        "/uploads/{upload}",
        operation_id="continue_upload",
        summary="Send a part of any length; what has arrived stays when the connection breaks",
        responses=errors(403, 404, 409, 413, 415, 422, 429, 503, 507),
        openapi_extra=BODY,
    )
    async def continue_upload(request: Request, upload: UploadPath, offset: Offset) -> UploadProgress:
        _check_kind(request)
        reception, asker = service.reception, asker_of(request)
        receiving = reception.part(upload, offset, asker)
        await _receive(request, reception, receiving, lambda take: take, lambda _: None)
        return await _told(reception, upload, asker)

    @router.get(
        "/uploads/{upload}",
        operation_id="upload_progress",
        summary="How much of an upload has arrived",
        responses=errors(403, 404, 422, 429, 507),
    )
    async def upload_progress(request: Request, upload: UploadPath) -> UploadProgress:
        return await _told(service.reception, upload, asker_of(request))


async def _told(reception: Reception, upload: str, asker: Asker) -> UploadProgress:
    """Tell how much of an upload has come, at once unless it is whole and has to be read."""
    found = await run_in_threadpool(reception.progress, upload, asker)
    if found.upload is not None or found.received < found.bytes:
        return found
    return await READING.run(reception.read_whole, upload, asker)


def _check_kind(request: Request) -> None:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != BYTES:
        raise WrongMedia(f"send the file itself as {BYTES}")


async def _receive(
    request: Request,
    reception: Reception,
    receiving: AbstractContextManager[Any],
    taker: Callable[[Any], Callable[[bytes], None]],
    finish: Callable[[Any], Found],
) -> Found:
    """Stream a body to disk; nothing here blocks the event loop."""
    limit = reception.limit_bytes
    try:
        incoming = await run_in_threadpool(receiving.__enter__)
    except JobError as error:
        await _feed(request, partial(_raise, error), limit)
        raise
    try:
        await _feed(request, taker(incoming), limit)
        found = await READING.run(finish, incoming)
    except BaseException as error:
        await run_in_threadpool(receiving.__exit__, type(error), error, error.__traceback__)
        raise
    await run_in_threadpool(receiving.__exit__, None, None, None)
    return found


async def _feed(request: Request, take: Callable[[bytes], None], patience: int) -> None:
    """Hand a body over in large blocks, and what has come when the connection breaks.

    When they are not taken, `patience` more bytes are read before that is said: most clients look at the answer only
    when they have sent everything.
    """
    waiting, passed, problem, taken = bytearray(), 0, None, time.monotonic()
    try:
        async for block in request.stream():
            if problem is not None:
                passed += len(block)
                if passed > patience:
                    break
                continue
            waiting += block
            if len(waiting) >= BLOCK or time.monotonic() - taken >= BLOCK_SECONDS:
                try:
                    await run_in_threadpool(take, bytes(waiting))
                except (JobError, OSError) as error:
                    problem = error
                waiting.clear()
                taken = time.monotonic()
    finally:
        if problem is None:
            await run_in_threadpool(take, bytes(waiting))
    if problem is not None:
        raise problem


def _raise(error: JobError, block: bytes) -> None:
    raise error
