"""Failures of an archive as answers of the server."""

from __future__ import annotations

from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.jobs.job_errors import JobError, in_words


def status_of(error: ArchiveError) -> int:
    """Return the status of HTTP: 404 for what the archive does not have, 504 if it may answer later, else 502."""
    if error.status == 404:
        return 404
    return 504 if error.passing else 502


class NotFetched(JobError):
    """The scan of a job does not come from the archive."""

    def __init__(self, error: ArchiveError) -> None:
        super().__init__(in_words(error))
        self.status = status_of(error)
