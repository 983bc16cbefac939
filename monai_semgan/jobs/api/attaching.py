"""Puts the job API into an app, such as MONAI Label's."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from monai_semgan.jobs.api.job_routes import job_router

if TYPE_CHECKING:
    from fastapi import FastAPI

    from monai_semgan.jobs.service import JobService


def attach_jobs(app: FastAPI, service: JobService) -> JobService:
    """Add the routes of the job API to an app and start its service, once.

    To be called where the app is really served, not wherever its module is imported: MONAI Label also makes its apps
    in subprocesses, for training and batches. In a `MONAILabelApp` that is `on_init_complete`.

    Args:
        app: such as `monailabel.app.app`.
        service: not started yet; dropped if the app has one already, as when MONAI Label reloads itself.

    Returns:
        The service that the app uses. It is closed when Python ends; a server that signals end closes it before, in its
        lifespan, or leaves its jobs to the next start, which finds them interrupted.

    Raises:
        SemganError: if another server holds the studies.
    """
    present: JobService | None = getattr(app.state, "semgan_jobs", None)
    if present is not None:
        return present
    service.start()
    atexit.register(service.close)
    app.include_router(job_router(service))
    app.state.semgan_jobs = service
    return service
