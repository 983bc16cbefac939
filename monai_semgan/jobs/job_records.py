"""What a job's record says of it on disk, and which files it can give out."""

from __future__ import annotations

import contextlib
import logging

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job
from monai_semgan.jobs.storage.result_files import parts_of, versions
from monai_semgan.jobs.storage.store import JobStore

logger = logging.getLogger(__name__)


class JobRecords:
    """Keeps records in step with what has become of jobs.

    Args:
        store: where jobs lie.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def note_parts(self, job: Job) -> None:
        """Note the newest result of a job, and the files that it can give out."""
        results = self._store.results(job.id)
        found = versions(results)
        job.result_version = found[-1] if found else 0
        with contextlib.suppress(OSError):
            job.parts = parts_of(results / str(found[-1])) if found else []

    def save(self, job: Job) -> None:
        """Write the record; on a full disk the job goes on, and its record tells of an earlier state."""
        try:
            self._store.save(job)
        except SemganError as error:
            logger.error("the record of a job could not be written: %s", error.problem)
