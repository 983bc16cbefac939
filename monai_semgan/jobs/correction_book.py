"""The histories of all corrected jobs: in memory, and beside the jobs on disk. The owner holds its lock."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job
from monai_semgan.jobs.correction_history import History, HistoryRecord, StepRecord
from monai_semgan.jobs.job_entries import Entry
from monai_semgan.jobs.joint_corrections import Joint
from monai_semgan.jobs.scheduler import Scheduler
from monai_semgan.jobs.storage.correction_files import read_history, save_history
from monai_semgan.jobs.storage.store import JobStore

logger = logging.getLogger(__name__)


class CorrectionBook:
    """Knows which corrections belong together.

    Args:
        store: where jobs lie.
        scheduler: knows the jobs.
    """

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler
        self._records: dict[str, HistoryRecord] = {}

    def load(self) -> list[Entry]:
        """Read the histories of the jobs of an earlier server.

        Returns:
            Corrections that belong to no history, as when a server was killed while it dropped them.
        """
        for entry in self._scheduler:
            record = None if entry.job.corrects else read_history(self._store.folder(entry.job.id))
            if record is not None:
                steps = [step for step in record.steps if self._job(step.job) is not None]
                self._records[entry.job.id] = record.model_copy(update={"job": entry.job.id, "steps": steps})
        return [entry for entry in self._scheduler if entry.job.corrects and self.step_of(entry.job) is None]

    def history(self, root: str) -> History:
        """Return the history of a job, empty if it was never corrected."""
        return History(self._records.get(root) or HistoryRecord(job=root), self._job)

    def put(self, record: HistoryRecord) -> None:
        """Let a history take the place of the one that there is.

        Raises:
            SemganError: if it cannot be written; the old one stays then.
        """
        save_history(self._store.folder(record.job), record)
        self._records[record.job] = record

    def entries(self, root: str) -> list[Entry]:
        """List the corrections of a job, also those that its history has dropped while they were computed."""
        return [entry for entry in self._scheduler if entry.job.corrects == root]

    def with_result_of(self, job: str) -> list[Entry]:
        """List a job, if it is still there, and the corrections that were computed with it."""
        return [entry for entry in self._scheduler if job in (entry.job.id, entry.job.joined)]

    def step_of(self, job: Job) -> StepRecord | None:
        """Return what is kept of a correction; None if its history has dropped it."""
        record = self._records.get(job.corrects or "")
        return next((step for step in record.steps if step.job == job.id), None) if record else None

    def joint(self, entry: Entry) -> Joint:
        """Return a job with the corrections that wait behind it and can be computed with it."""
        step = self.step_of(entry.job)
        if step is None:
            return Joint((entry,))
        waiting = {other.job.id: other for other in self._scheduler.queue() if other.job.corrects == entry.job.corrects}
        entries = [entry]
        for other in self._after(entry.job.corrects or "", step.number):
            if self._is_over(other):
                continue
            alike = other.reach_mm == step.reach_mm and other.locked == step.locked
            if other.job not in waiting or not alike:
                break
            entries.append(waiting[other.job])
        return Joint(tuple(entries))

    def keep_together(self, entry: Entry) -> Entry | None:
        """Let a corrected job, and all its corrections that have ended, stay as long as the newest of them.

        Args:
            entry: a correction that has just ended.

        Returns:
            The corrected job, if it stays longer now.
        """
        root = None if entry.job.corrects is None else self._scheduler.get(entry.job.corrects)
        if root is None or not root.ended or entry.job.expires is None:
            return None
        for one in (root, *self.entries(root.job.id)):
            if one.ended:
                one.job.expires = max(one.job.expires or 0.0, entry.job.expires)
        return root

    def forget(self, job: Job) -> None:
        """Drop what is kept of a job that is removed; on a full disk the next start of the server does it."""
        self._records.pop(job.id, None)
        if job.corrects in self._records:
            record = self.history(job.corrects).without(job.id)
            self._records[record.job] = record
            try:
                save_history(self._store.folder(record.job), record)
            except SemganError as error:
                logger.error("the history of a job could not be written: %s", error.problem)

    def _after(self, root: str, number: int) -> Iterator[StepRecord]:
        return (step for step in self._records[root].steps if step.number > number)

    def _is_over(self, step: StepRecord) -> bool:
        """Tell whether a correction was cancelled, so that those after it need not wait for it."""
        entry = self._scheduler.held(step.job)
        return entry is None or entry.ended

    def _job(self, job: str) -> Job | None:
        entry = self._scheduler.get(job)
        return None if entry is None else entry.job
