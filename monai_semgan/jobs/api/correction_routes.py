"""Routes of the job API that correct results by strokes."""

from __future__ import annotations

from fastapi import APIRouter

from monai_semgan.jobs.api.answers import errors
from monai_semgan.jobs.api.callers import JobPath, Who
from monai_semgan.jobs.contract import Job
from monai_semgan.jobs.correction_contract import CorrectionHistory, CorrectionRequest, GoTo
from monai_semgan.jobs.service import JobService


def add_correction_routes(router: APIRouter, service: JobService) -> None:
    """Add the routes to a router.

    Args:
        router: of the job API.
        service: does the work.
    """

    @router.post(
        "/jobs/{job}/corrections",
        operation_id="correct",
        summary="Correct the result of a job by strokes, on the state that is in force; the job is one of its own",
        status_code=201,
        responses=errors(403, 404, 409, 422, 429, 503, 507),
    )
    def correct(job: JobPath, request: CorrectionRequest, asker: Who) -> Job:
        return service.corrections.correct(job, request, asker)

    @router.get(
        "/jobs/{job}/corrections",
        operation_id="corrections",
        summary="The corrections of a job and which of them is in force",
        responses=errors(404, 422),
    )
    def corrections(job: JobPath) -> CorrectionHistory:
        return service.corrections.history(job)

    @router.post(
        "/jobs/{job}/corrections/current",
        operation_id="go_to_correction",
        summary="Undo, do again or revert corrections, without computing; those that have not ended are cancelled",
        responses=errors(403, 404, 409, 422, 507),
    )
    def go_to(job: JobPath, wanted: GoTo, asker: Who) -> CorrectionHistory:
        return service.corrections.go_to(job, wanted.number, asker)
