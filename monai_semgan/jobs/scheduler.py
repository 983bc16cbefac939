"""What is known of all jobs, in which order they run, and when they will end. No threads, no files: the service's."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monai_semgan.jobs.contract import Job, State
from monai_semgan.jobs.estimates import Estimates, Kind
from monai_semgan.jobs.job_entries import Entry, Origin

OVERDUE = "takes longer than expected"


class Scheduler:
    """Jobs: previews first, then first come, first served.

    Args:
        workers: how many run at once.
        default_steps: of the models' modes.
    """

    def __init__(self, workers: int = 1, default_steps: Mapping[Kind, int] | None = None) -> None:
        self.workers = workers
        self.estimates = Estimates(default_steps or {})
        self._entries: dict[str, Entry] = {}
        self._queue: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        """Return all jobs, the oldest first."""
        return iter(list(self._entries.values()))

    def get(self, job: str) -> Entry | None:
        """Return a job that is not being removed."""
        entry = self._entries.get(job)
        return None if entry is None or entry.removing else entry

    def held(self, job: str) -> Entry | None:
        """Return a job, also one that is being removed."""
        return self._entries.get(job)

    def remember(self, job: Job, origin: Origin | None = None) -> Entry:
        """Take in a job of an earlier server."""
        entry = self._entries[job.id] = Entry(job, origin or Origin())
        self.estimates.note(entry)
        return entry

    def enqueue(self, job: Job, origin: Origin | None = None) -> Entry:
        """Take in a new job."""
        entry = self._entries[job.id] = Entry(job, origin or Origin())
        self._queue.insert(bisect_right(self._queue, entry.origin.turn, key=lambda e: e.origin.turn), entry)
        return entry

    def forget(self, job: str) -> None:
        """Drop a job."""
        self.unqueue(job)
        self._entries.pop(job, None)
        self.estimates.forget_scans(entry.job for entry in self._entries.values())

    def unqueue(self, job: str) -> None:
        """Take a job out of the queue, if it is there."""
        self._queue = [entry for entry in self._queue if entry.job.id != job]

    def waiting_for(self, quick: bool) -> Entry | None:
        """Return the job of the queue whose turn is next among the previews, or among the others.

        Corrections of one job come one after the other.
        """
        corrected = self._being_corrected() if any(entry.job.corrects for entry in self._queue) else set()
        ready = (entry for entry in self._queue if entry.quick is quick and entry.job.corrects not in corrected)
        return next(ready, None)

    def take(self, entry: Entry) -> None:
        """Take a job out of the queue, to be given to a worker."""
        self._queue.remove(entry)

    def requeue(self, entry: Entry) -> None:
        """Put a job that could not begin back before the others of its turn."""
        entry.job.state = State.queued
        entry.release()
        place = next((i for i, other in enumerate(self._queue) if other.origin.turn >= entry.origin.turn), None)
        self._queue.insert(len(self._queue) if place is None else place, entry)

    def _being_corrected(self) -> set[str]:
        going = (
            entry.job for entry in self._entries.values() if not entry.ended and entry.job.state is not State.queued
        )
        return {job.corrects for job in going if job.corrects is not None}

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    def progress(self, entry: Entry, message: Mapping[str, Any]) -> None:
        """Take in what a worker tells of a job."""
        job = entry.job
        if entry.cancel_by is None:
            job.message = str(message.get("message", job.message))
        if "step" not in message:
            return
        job.step, job.steps = int(message["step"]), int(message["steps"])
        job.slices = int(message["slices"])
        job.slices_converged = int(message.get("converged", 0))
        entry.tick(job.step)
        loss = message.get("loss")
        if loss is not None:
            job.loss.append(round(float(loss), 6))

    def end(self, entry: Entry, state: State, message: str, keep_seconds: float) -> None:
        """Note that a job has ended."""
        job = entry.job
        entry.release()
        job.state, job.message, job.finished = state, message, time.time()
        job.expires = job.finished + keep_seconds
        entry.cancel_by = None
        self.estimates.note(entry)
        entry.ticks.clear()
        self.unqueue(job.id)

    def snapshot(self, entry: Entry, owner: str | None = None) -> Job:
        """Return a job as clients see it now.

        Args:
            entry: the job.
            owner: digest of who asks.
        """
        return next(self.snapshots([entry], owner))

    def snapshots(self, entries: Iterable[Entry], owner: str | None = None) -> Iterator[Job]:
        """Yield jobs as clients see them now; see `snapshot`."""
        outlook = _Outlook(self)
        for entry in entries:
            job = entry.job
            mine = None if entry.origin.owner is None else entry.origin.owner == owner
            changes: dict[str, Any] = {"mine": mine, "eta_seconds": None, "position": None}
            if not entry.ended:
                changes["position"] = outlook.position(entry)
                changes["eta_seconds"] = outlook.eta(entry)
                if outlook.overdue(entry):
                    changes["message"] = OVERDUE
            yield job.model_copy(update=changes)

    def queue(self) -> list[Entry]:
        """Return the jobs that wait, the next one first."""
        return list(self._queue)


class _Outlook:
    """When the jobs of a scheduler will end, as it stands."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._workers = scheduler.workers
        queue = scheduler.queue()
        going = [entry for entry in scheduler if not entry.ended and entry.job.state is not State.queued]
        self._left = {entry.job.id: scheduler.estimates.left(entry) for entry in (*going, *queue)}
        self._positions = {entry.job.id: number for number, entry in enumerate(queue)}
        self._previews = self._sum(entry for entry in (*going, *queue) if entry.quick)
        self._before: dict[str, float | None] = {}
        held_up = max((entry.turn_left() for entry in going if not entry.quick), default=0.0)
        previews = _add(self._sum(entry for entry in going if entry.quick), held_up)
        others = _add(self._previews, self._sum(entry for entry in going if not entry.quick))
        for entry in queue:
            left = self._left[entry.job.id]
            if entry.quick:
                self._before[entry.job.id], previews = previews, _add(previews, left)
            else:
                self._before[entry.job.id], others = others, _add(others, left)

    def position(self, entry: Entry) -> int | None:
        """Count the jobs before this one; None unless it is in the queue, or about to be."""
        return self._positions.get(entry.job.id, 0) if entry.job.state is State.queued else None

    def eta(self, entry: Entry) -> float | None:
        """Estimate the seconds until a job ends; None if nobody can tell, or it should have ended."""
        left = self._left.get(entry.job.id)
        if left is None or left < 0:
            return None
        before: float | None = 0.0
        if entry.job.state is State.queued:
            before = self._before.get(entry.job.id, 0.0)
        elif entry.held_since is not None:
            before = self._previews
        return None if before is None else round(left + before / self._workers, 1)

    def overdue(self, entry: Entry) -> bool:
        """Tell whether a job that runs should have ended."""
        left = self._left.get(entry.job.id)
        return left is not None and left < 0 and entry.job.state is State.running and entry.cancel_by is None

    def _sum(self, entries: Iterable[Entry]) -> float | None:
        total: float | None = 0.0
        for entry in entries:
            total = _add(total, self._left[entry.job.id])
        return total


def _add(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None or second < 0 else first + second
