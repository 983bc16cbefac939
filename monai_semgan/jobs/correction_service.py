"""Corrections of results by strokes: takes them in, tells their history, goes back and forth in it."""

from __future__ import annotations

from monai_semgan.jobs.contract import Job
from monai_semgan.jobs.correction_contract import CorrectionHistory, CorrectionRequest
from monai_semgan.jobs.job_errors import Conflict
from monai_semgan.jobs.ownership import Asker


class CorrectionService:
    """What the routes of corrections ask."""

    def correct(self, job: str, request: CorrectionRequest, asker: Asker) -> Job:
        """Put a correction into the queue."""
        raise Conflict("not yet")

    def history(self, job: str) -> CorrectionHistory:
        """Tell the corrections of a job."""
        raise Conflict("not yet")

    def go_to(self, job: str, number: int, asker: Asker) -> CorrectionHistory:
        """Let another state be in force."""
        raise Conflict("not yet")
