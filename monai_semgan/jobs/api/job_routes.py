"""Routes of the job API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from monai_semgan.jobs.api.answers import BINARY, BYTES, errors
from monai_semgan.jobs.api.callers import JobPath, Who
from monai_semgan.jobs.api.correction_routes import add_correction_routes
from monai_semgan.jobs.api.error_answers import ErrorRoute
from monai_semgan.jobs.api.training_routes import add_training_routes
from monai_semgan.jobs.api.upload_routes import add_upload_routes
from monai_semgan.jobs.contract import (
    Job,
    JobList,
    JobRequest,
    Part,
    Result,
    VolumeFormat,
)
from monai_semgan.jobs.server_contract import Health, ModelList
from monai_semgan.jobs.service import JobService

PREFIX = "/semgan"
VERSION_HEADER = "X-SemGAN-Result-Version"
BLOCK = 2**20


def job_router(service: JobService) -> APIRouter:
    """Make the routes, to be included in an app.

    Args:
        service: does the work; its owner starts and closes it.
    """
    router = APIRouter(prefix=PREFIX, tags=["SemGAN jobs"], route_class=ErrorRoute)
    _add_server_routes(router, service)
    add_upload_routes(router, service)
    _add_job_routes(router, service)
    _add_result_routes(router, service)
    add_correction_routes(router, service)
    add_training_routes(router, service)
    return router


def _add_server_routes(router: APIRouter, service: JobService) -> None:
    @router.get("/health", operation_id="health", summary="How the server is")
    def health() -> Health:
        return service.health()

    @router.get("/models", operation_id="models", summary="Models that the server runs, the default one first")
    def models() -> ModelList:
        return service.model_list()


def _add_job_routes(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/jobs",
        operation_id="submit",
        summary="Segment a volume",
        status_code=201,
        responses=errors(404, 422, 429, 503, 507),
    )
    def submit(request: JobRequest, asker: Who) -> Job:
        return service.submit(request, asker)

    @router.get("/jobs", operation_id="jobs", summary="All jobs, the newest first")
    def jobs(asker: Who) -> JobList:
        return service.jobs(asker)

    @router.get("/jobs/{job}", operation_id="job", summary="How a job stands", responses=errors(404, 422))
    def job(job: JobPath, asker: Who) -> Job:
        return service.job(job, asker)

    @router.post(
        "/jobs/{job}/cancel",
        operation_id="cancel",
        summary="End a job early and keep what it has found; it runs on until its state is `cancelled`",
        responses=errors(403, 404, 409, 422),
    )
    def cancel(job: JobPath, asker: Who) -> Job:
        return service.cancel(job, asker)

    @router.delete(
        "/jobs/{job}",
        operation_id="remove",
        summary="Remove a job and its files; one that runs is cancelled first",
        status_code=204,
        responses=errors(403, 404, 422),
    )
    def remove(job: JobPath, asker: Who) -> None:
        service.remove(job, asker)


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
