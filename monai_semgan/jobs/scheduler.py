"""What is known of all jobs, in which order they run, and when they will end. No threads, no files: the service's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from monai_semgan.jobs.contract import Job, Mode, State

ENDED = (State.done, State.cancelled, State.interrupted, State.failed)

RECENT_STEPS = 5
"""Steps whose time tells that of those to come: slices that have converged make later ones faster."""


@dataclass
class Entry:
    """A job and what clients are not told.

    Attributes:
        job: as clients see it.
        attempts: how often it was given to a worker.
        cancel_by: when its worker is killed if it does not obey; None unless cancelled.
        removing: its files go when the worker has let go of it.
        reporting: its report is being written, though it has ended.
        report: whether the page for people is written.
        ticks: time and number of the latest steps.
    """

    job: Job
    attempts: int = 0
    cancel_by: float | None = None
    removing: bool = False
    reporting: bool = False
    report: bool = True
    ticks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS + 1))

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.job.state in ENDED


class Scheduler:
    """Jobs, first come, first served.

    Args:
        workers: how many run at once.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.measured: dict[tuple[str | None, Mode], float] = {}
        self._entries: dict[str, Entry] = {}
        self._queue: deque[str] = deque()

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

    def remember(self, job: Job) -> Entry:
        """Take in a job of an earlier server."""
        self._entries[job.id] = Entry(job)
        self._measure(job)
        return self._entries[job.id]

    def enqueue(self, job: Job, report: bool = True) -> Entry:
        """Take in a new job."""
        entry = self._entries[job.id] = Entry(job, report=report)
        self._queue.append(job.id)
        return entry

    def forget(self, job: str) -> None:
        """Drop a job."""
        self._entries.pop(job, None)
        self.unqueue(job)

    def unqueue(self, job: str) -> None:
        """Take a job out of the queue, if it is there."""
        if job in self._queue:
            self._queue.remove(job)

    def next(self) -> Entry | None:
        """Take the next job out of the queue."""
        return self._entries[self._queue.popleft()] if self._queue else None

    def requeue(self, entry: Entry) -> None:
        """Put a job that could not begin back to the front."""
        entry.job.state = State.queued
        self._queue.appendleft(entry.job.id)

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    def progress(self, entry: Entry, message: dict[str, Any]) -> None:
        """Take in what a worker tells of a job."""
        job = entry.job
        if entry.cancel_by is None:
            job.message = str(message.get("message", job.message))
        if "step" not in message:
            return
        job.step, job.steps = int(message["step"]), int(message["steps"])
        job.slices = int(message["slices"])
        job.slices_converged = int(message.get("converged", 0))
        entry.ticks.append((time.monotonic(), job.step))
        loss = message.get("loss")
        if loss is not None:
            job.loss.append(round(float(loss), 6))

    def end(self, entry: Entry, state: State, message: str, keep_seconds: float) -> None:
        """Note that a job has ended."""
        job = entry.job
        job.state, job.message, job.finished = state, message, time.time()
        job.expires = job.finished + keep_seconds
        entry.cancel_by = None
        entry.ticks.clear()
        self.unqueue(job.id)
        self._measure(job)

    def snapshot(self, entry: Entry) -> Job:
        """Return a job as clients see it now."""
        changes: dict[str, Any] = {"eta_seconds": self._eta(entry), "position": None}
        if entry.job.state is State.queued:
            changes["position"] = self._queue.index(entry.job.id) if entry.job.id in self._queue else 0
        return entry.job.model_copy(update=changes)

    def _measure(self, job: Job) -> None:
        if job.state is State.done and job.started is not None and job.finished is not None:
            self.measured[(job.request.model, job.request.mode)] = round(job.finished - job.started, 2)

    def _eta(self, entry: Entry) -> float | None:
        if entry.ended:
            return None
        left = self._left(entry)
        if entry.job.state is not State.queued or left is None:
            return left
        before = [other for other in self if not other.ended and other is not entry]
        before = [o for o in before if o.job.state is not State.queued or self._position(o) < self._position(entry)]
        times = [self._left(other) for other in before]
        if any(value is None for value in times):
            return None
        return round(left + sum(value for value in times if value is not None) / self.workers, 1)

    def _position(self, entry: Entry) -> int:
        return self._queue.index(entry.job.id) if entry.job.id in self._queue else -1

    def _left(self, entry: Entry) -> float | None:
        """Estimate the seconds of work that a job still needs: by its own steps, or as the last one like it took."""
        job, now = entry.job, time.monotonic()
        if len(entry.ticks) > 1 and job.steps:
            (first, low), (last, high) = entry.ticks[0], entry.ticks[-1]
            each = (last - first) / max(1, high - low)
            return round(max(0.0, each * (job.steps - high) - (now - last)), 1)
        whole = self.measured.get((job.request.model, job.request.mode))
        if whole is None or job.started is None:
            return whole
        return round(max(0.0, whole - (time.time() - job.started)), 1)
