"""Routes of the job API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from monai_semgan.jobs.api.error_answers import ErrorRoute
from monai_semgan.jobs.contract import (
    Health,
    Job,
    JobList,
    JobRequest,
    ModelList,
    Part,
    Problem,
    Result,
    Upload,
    VolumeFormat,
)
from monai_semgan.jobs.job_errors import JobError, WrongMedia
from monai_semgan.jobs.service import JobService
from monai_semgan.jobs.storage.uploads import SUFFIXES

PREFIX = "/semgan"
VERSION_HEADER = "X-SemGAN-Result-Version"
BYTES = "application/octet-stream"
BLOCK = 2**20

ID = {"pattern": "^[0-9a-f]{32}$"}
JobPath = Annotated[str, Path(description="id of a job", json_schema_extra=ID)]
UploadPath = Annotated[str, Path(description="id of an upload", json_schema_extra=ID)]

MEANINGS = {
    404: "there is no such thing",
    409: "not in this state",
    413: "larger than the server takes",
    415: "not a kind of content that the server takes",
    422: "something in the request makes no sense",
    429: "too many jobs are waiting",
    503: "the server is starting or stopping",
    507: "the disk is full, or what jobs may take of it",
}

BINARY = {"schema": {"type": "string", "format": "binary"}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of answers that are no success."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}


def job_router(service: JobService) -> APIRouter:
    """Make the routes, to be included in an app.

    Args:
        service: does the work; its owner starts and closes it.
    """
    router = APIRouter(prefix=PREFIX, tags=["SemGAN jobs"], route_class=ErrorRoute)
    _add_server_routes(router, service)
    _add_upload_routes(router, service)
    _add_job_routes(router, service)
    _add_result_routes(router, service)
    return router


def _add_server_routes(router: APIRouter, service: JobService) -> None:
    @router.get("/health", operation_id="health", summary="How the server is")
    def health() -> Health:
        return service.health()

    @router.get("/models", operation_id="models", summary="Models that the server runs, the default one first")
    def models() -> ModelList:
        return service.model_list()


def _add_upload_routes(router: APIRouter, service: JobService) -> None:
    body = {"required": True, "content": {BYTES: BINARY}, "description": "the file, as it is"}

    @router.post(
        "/uploads",
        operation_id="upload",
        summary="Send a volume for jobs to use",
        status_code=201,
        responses=errors(413, 415, 422, 503, 507),
        openapi_extra={"requestBody": body},
    )
    async def upload(
        request: Request,
        suffix: Annotated[str, Query(description="ending of the file", json_schema_extra={"enum": list(SUFFIXES)})],
    ) -> Upload:
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != BYTES:
            raise WrongMedia(f"send the file itself as {BYTES}")
        return await _receive(request, service, suffix)

    @router.delete(
        "/uploads/{upload}",
        operation_id="remove_upload",
        summary="Remove an upload that no unfinished job uses",
        status_code=204,
        responses=errors(404, 409, 422),
    )
    def remove_upload(upload: UploadPath) -> None:
        service.remove_upload(upload)


async def _receive(request: Request, service: JobService, suffix: str) -> Upload:
    """Stream a body to disk; nothing here blocks the event loop."""
    limit = service.uploads.limit_bytes
    length = request.headers.get("content-length", "")
    expected = int(length) if length.isdigit() else None
    receiving = service.receiving(suffix, expected)
    try:
        incoming = await run_in_threadpool(receiving.__enter__)
    except JobError as error:
        await _feed(request, partial(_raise, error), limit)
        raise
    try:
        await _feed(request, incoming.write, limit)
        found = await run_in_threadpool(service.accept, incoming)
    except BaseException as error:
        await run_in_threadpool(receiving.__exit__, type(error), error, error.__traceback__)
        raise
    await run_in_threadpool(receiving.__exit__, None, None, None)
    return found


async def _feed(request: Request, take: Callable[[bytes], None], patience: int) -> None:
    """Hand a body over in large blocks.

    When they are not taken, `patience` more bytes are read before that is said: most clients look at the answer only
    when they have sent everything.
    """
    waiting, passed, problem = bytearray(), 0, None
    async for block in request.stream():
        if problem is not None:
            passed += len(block)
            if passed > patience:
                break
            continue
        waiting += block
        if len(waiting) >= BLOCK:
            try:
                await run_in_threadpool(take, bytes(waiting))
            except (JobError, OSError) as error:
                problem = error
            waiting.clear()
    if problem is not None:
        raise problem
    await run_in_threadpool(take, bytes(waiting))


def _raise(error: JobError, block: bytes) -> None:
    raise error


def _add_job_routes(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/jobs",
        operation_id="submit",
        summary="Segment a volume",
        status_code=201,
        responses=errors(404, 422, 429, 503, 507),
    )
    def submit(request: JobRequest) -> Job:
        return service.submit(request)

    @router.get("/jobs", operation_id="jobs", summary="All jobs, the newest first")
    def jobs() -> JobList:
        return service.jobs()

    @router.get("/jobs/{job}", operation_id="job", summary="How a job stands", responses=errors(404, 422))
    def job(job: JobPath) -> Job:
        return service.job(job)

    @router.post(
        "/jobs/{job}/cancel",
        operation_id="cancel",
        summary="End a job early and keep what it has found; it runs on until its state is `cancelled`",
        responses=errors(404, 409, 422),
    )
    def cancel(job: JobPath) -> Job:
        return service.cancel(job)

    @router.delete(
        "/jobs/{job}",
        operation_id="remove",
        summary="Remove a job and its files; one that runs is cancelled first",
        status_code=204,
        responses=errors(404, 422),
    )
    def remove(job: JobPath) -> None:
        service.remove(job)


def _add_result_routes(router: APIRouter, service: JobService) -> None:
    @router.get(
        "/jobs/{job}/result",
        operation_id="result",
        summary="What a job has found, so far or in the end",
        responses=errors(404, 409, 422),
    )
    def result(job: JobPath, response: Response) -> Result:
        found = service.results.newest(job)
        response.headers[VERSION_HEADER] = str(found.version)
        return found

    header = {VERSION_HEADER: {"description": "`result_version` it belongs to", "schema": {"type": "integer"}}}
    content = {BYTES: BINARY, "text/html": {"schema": {"type": "string"}}}
    success: dict[int | str, dict[str, Any]] = {200: {"description": "the file", "content": content, "headers": header}}

    @router.get(
        "/jobs/{job}/result/{part}",
        operation_id="result_part",
        summary="A file of a result: label uint8, maps float32, on the scan's own grid; the report is a page",
        response_class=StreamingResponse,
        responses=success | errors(404, 409, 422, 507),
    )
    def result_part(
        job: JobPath,
        part: Part,
        form: Annotated[VolumeFormat, Query(alias="format", description="of volumes")] = VolumeFormat.nrrd,
    ) -> StreamingResponse:
        stream, size, version = service.results.open_part(job, part, form)
        kind = "text/html; charset=utf-8" if part is Part.report else BYTES
        headers = {VERSION_HEADER: str(version), "Content-Length": str(size)}
        return StreamingResponse(_blocks(stream), media_type=kind, headers=headers)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while block := stream.read(BLOCK):
            yield block
