"""Hands out what jobs have found, also while they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Part, Result, VolumeFormat
from monai_semgan.jobs.job_entries import Entry
from monai_semgan.jobs.job_errors import Conflict, Damaged, JobError, NoSpace, Unknown, in_words
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.jobs.storage.result_files import part_file, read_result, versions
from monai_semgan.jobs.storage.store import JobStore

REPORT_SECONDS = 60.0


class ResultAccess:
    """Find the newest result of a job and its files.

    Args:
        store: where they lie.
        quota: is told of files that are made.
        entry: the job of an id; raises `Unknown`.
        lock: of the jobs.
        closing: set when the server ends.
    """

    def __init__(
        self,
        store: JobStore,
        quota: DiskQuota,
        entry: Callable[[str], Entry],
        lock: threading.RLock,
        closing: threading.Event,
    ) -> None:
        self._store, self._quota, self._entry, self._lock, self._closing = store, quota, entry, lock, closing

    def newest(self, job: str) -> Result:
        """Return what a job has found so far.

        Raises:
            Unknown: if there is no such job.
            Conflict: if there is no result yet.
            Damaged: if it cannot be read any more, nor the one before it.
        """
        results, damage = self._store.results(job), None
        for version in self._versions(job):
            try:
                return read_result(results / str(version))
            except Damaged as error:
                damage = error
            except OSError:
                continue
        raise damage or self._no_result(job)

    def open_part(self, job: str, part: Part, form: VolumeFormat) -> tuple[Any, int, int]:
        """Open a file of a result.

        Returns:
            Open file, its size in bytes, version of the result.

        Raises:
            Unknown: if there is no such job, or its results have no such part.
            Conflict: if there is no result yet.
            NoSpace: if the disk is too full to make it.
            Damaged: if the files that it is made from cannot be read any more.
        """
        results, damage = self._store.results(job), None
        found = self._versions(job)
        if part is Part.report:
            self._await_report(job)
        for version in found:  # a newer one may have taken its place meanwhile
            try:
                path = part_file(results, version, part, form)
                self._quota.note_growth()
                if path is not None:
                    stream = open(path, "rb")  # noqa: SIM115 - whoever sends it closes it
                    return stream, path.stat().st_size, version
            except SemganError as error:
                raise NoSpace(in_words(error)) from error
            except Damaged as error:
                damage = error
                continue
            except OSError:
                continue
            break
        if damage is not None:
            raise damage
        if not found:
            raise self._no_result(job)
        raise self._no_part(job, part)

    def _await_report(self, job: str) -> None:
        """Wait for the report, which is written after the job has ended with label and maps."""
        deadline = time.monotonic() + REPORT_SECONDS
        while time.monotonic() < deadline and not self._closing.is_set():
            with self._lock:
                if not self._entry(job).reporting:
                    return
            time.sleep(0.1)

    def _versions(self, job: str) -> list[int]:
        """List the versions of a job's results that are there, the newest first."""
        with self._lock:
            self._entry(job)
        return versions(self._store.results(job))[::-1]

    def _no_result(self, job: str) -> JobError:
        with self._lock:
            state = self._entry(job).job.state.value
        return Conflict(f"there is no result yet: the job is {state}")

    def _no_part(self, job: str, part: Part) -> JobError:
        with self._lock:
            entry = self._entry(job)
            if not entry.ended:
                return Conflict(f"there is no {part.value} yet: the job is {entry.job.state.value}")
            if entry.reporting and part is Part.report:
                return Conflict("the report is being written; ask again later")
        return Unknown(f"the result has no {part.value}")
