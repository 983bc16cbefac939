"""Models, devices and limits of the job service."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServiceSettings:
    """How the job service works.

    Args:
        bundles: model folders; the one that comes with the package when left out.
        devices: a worker process for each: `auto`, `cpu`, `cuda`, `cuda:N`.
        python: interpreter of the workers.
        upload_limit_bytes: largest volume that is taken.
        disk_limit_bytes: what jobs and uploads may take together; the oldest ended jobs make room.
        keep_seconds: how long ended jobs, with their files, stay.
        upload_keep_seconds: how long an upload stays that no job uses, if that is shorter: whoever still works with
            the scan uses it again sooner, and clients that went away leave nothing for long.
        queue_limit: jobs that may wait.
        jobs_limit: ended jobs that are kept, whatever their age.
        partial_seconds: least time between two partial results of a job.
        cancel_seconds: a worker that has not obeyed by then is killed.
    """

    bundles: tuple[Path | str, ...] = ()
    devices: tuple[str, ...] = ("auto",)
    python: str = sys.executable
    upload_limit_bytes: int = 2 * 2**30
    disk_limit_bytes: int = 20 * 2**30
    keep_seconds: float = 24 * 3600.0
    upload_keep_seconds: float = 3600.0
    queue_limit: int = 100
    jobs_limit: int = 500
    partial_seconds: float = 2.0
    cancel_seconds: float = 30.0
