"""What goes when: ended jobs and unused uploads after their time, the oldest ones sooner when there is no room."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from monai_semgan.jobs.dispatcher import Dispatcher
from monai_semgan.jobs.job_entries import Entry
from monai_semgan.jobs.reception import Reception
from monai_semgan.jobs.storage.store import JobStore, remove_folder

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""What could not be removed is tried again so often."""


class Retention:
    """Removes jobs and uploads. The owner holds its lock while it calls, except for `retry`.

    Args:
        store: where they lie.
        dispatcher: knows the jobs.
        reception: knows the uploads.
        jobs_limit: ended jobs that are kept, whatever their age.
    """

    def __init__(self, store: JobStore, dispatcher: Dispatcher, reception: Reception, jobs_limit: int) -> None:
        self._store, self._dispatcher, self._reception, self._jobs_limit = store, dispatcher, reception, jobs_limit
        self._uploads = reception.uploads
        self._next_retry = time.monotonic() + RETRY_SECONDS
        self._stuck = 0

    def uploads_in_use(self) -> set[str]:
        """Return the uploads that jobs need which have not ended."""
        requests = (entry.job.request for entry in self._dispatcher.scheduler if not entry.ended)
        return {request.upload for request in requests if request.upload is not None}

    def removals(self, keep: str | None = None, keep_job: str | None = None) -> Iterator[Callable[[], None]]:
        """Yield the oldest ended jobs, each with its corrections, then unused uploads and unfinished ones.

        Args:
            keep: an upload that stays.
            keep_job: a job that stays.
        """
        for entry in self._ended():
            if entry.job.id != keep_job:
                yield partial(self._dispatcher.drop, entry)
        in_use = self.uploads_in_use()
        for name in self._uploads.oldest_first():
            if name not in in_use and name != keep:
                yield partial(self._uploads.remove, name)
        for name in self._reception.parts.abandoned():
            if name != keep:
                yield partial(self._reception.parts.remove, name)

    def expire(self) -> None:
        """Remove what has been kept for long enough; the time of an upload begins when its last job has ended."""
        now = time.time()
        ended = self._ended()
        for number, entry in enumerate(ended):
            late = entry.job.expires is not None and entry.job.expires < now
            if late or number < len(ended) - self._jobs_limit:
                self._dispatcher.drop(entry)
        for name in self.uploads_in_use():
            self._uploads.use(name)
        self._reception.expire()
        for name in self._uploads.expired():
            self._uploads.remove(name)

    def _ended(self) -> list[Entry]:
        """List the jobs that have ended, the oldest first; corrections stay as long as the job that they correct."""
        entries = list(self._dispatcher.scheduler)
        busy = {entry.job.corrects for entry in entries if not entry.ended}
        return [entry for entry in entries if entry.ended and not entry.job.corrects and entry.job.id not in busy]

    def left_over(self) -> list[Path]:
        """List, once in a while, what should be gone and is still there."""
        if time.monotonic() < self._next_retry:
            return []
        self._next_retry = time.monotonic() + RETRY_SECONDS
        return self._store.strays({entry.job.id for entry in self._dispatcher.scheduler})

    def retry(self, folders: list[Path]) -> None:
        """Try again to remove what `left_over` has found, and log when that does not succeed."""
        if not folders:
            return
        stuck = sum(not remove_folder(folder) for folder in folders)
        if stuck and stuck != self._stuck:
            logger.error("%d removed jobs or uploads are still on disk: their files cannot be deleted", stuck)
        elif self._stuck and not stuck:
            logger.warning("removed jobs and uploads that were still on disk have been deleted")
        self._stuck = stuck
