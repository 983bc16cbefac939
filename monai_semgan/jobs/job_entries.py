"""A job, and what the server knows of it that clients are not told. No threads, no files: the service's."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from monai_semgan.jobs.contract import Job, State

ENDED = (State.done, State.cancelled, State.interrupted, State.failed)

RECENT_STEPS = 5
"""Steps whose time tells that of those to come: slices that have converged make later ones faster."""

LONGEST_PAUSE = 120.0
"""Seconds for which previews on end may hold up a job that computes, or is about to."""

RUNNING_SHARE = 5.0
"""After that it runs without interruption until it has had one second of work for so many seconds since."""


class Turn(IntEnum):
    """Whose turn comes first. Within a turn: first come, first served."""

    preview = 0
    """Somebody waits in front of a screen; whatever else runs is paused."""

    ordinary = 1
    """Inversions, and the previews of a batch."""

    spare = 2
    """What nobody waits for."""


@dataclass(frozen=True)
class Origin:
    """Where a job comes from; kept on disk beside the job.

    Attributes:
        owner: digest of who has asked for it; None if nobody said so.
        image_state: fingerprint of the scan's files when it was asked for.
        turn: as in `Turn`.
        report: whether the page for people is written.
    """

    owner: str | None = None
    image_state: str | None = None
    turn: Turn = Turn.ordinary
    report: bool = True


@dataclass
class Entry:
    """A job and what clients are not told.

    Attributes:
        job: as clients see it.
        origin: where it comes from.
        attempts: how often it was given to a worker.
        cancel_by: when its worker is killed if it does not obey; None unless cancelled.
        removing: its files go when the worker has let go of it.
        reporting: its report is being written, though it has ended.
        dropped: number of its newest result that was dropped; those to come have higher ones.
        ticks: seconds of work and number of the latest steps.
        began: when it began, by the monotonic clock.
        held_since: when it was paused, or given to a worker that still computes a preview; None unless it waits so.
    """

    job: Job
    origin: Origin = field(default_factory=Origin)
    attempts: int = 0
    cancel_by: float | None = None
    removing: bool = False
    reporting: bool = False
    dropped: int = 0
    ticks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS + 1))
    began: float | None = None
    held_since: float | None = None
    _paused: float = 0.0
    _debt: float = 0.0
    _counted: float = 0.0
    _owed: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.job.state in ENDED

    @property
    def unwanted(self) -> bool:
        """Whether it was cancelled or removed, and its worker has not let go of it yet."""
        return self.cancel_by is not None or self.removing

    @property
    def quick(self) -> bool:
        """Whether others are paused for it."""
        return self.origin.turn is Turn.preview

    def begin(self) -> None:
        """Note that its worker has begun with it."""
        self.release()
        self.job.state, self.job.started, self.began = State.running, time.time(), time.monotonic()

    def hold(self) -> None:
        """Note that it lets previews go first."""
        now = time.monotonic()
        self._count(now)
        if self.held_since is None:
            self.held_since = now

    def release(self) -> None:
        """Note that it goes on."""
        now = time.monotonic()
        self._count(now)
        if self.held_since is not None and self.began is not None:
            self._paused += now - self.held_since
            self.job.paused_seconds = round(self._paused, 2)
        self.held_since = None

    def worked(self) -> float:
        """Count the seconds since it began in which it was not paused."""
        if self.began is None:
            return 0.0
        now = time.monotonic()
        paused = now - self.held_since if self.held_since is not None else 0.0
        return now - self.began - self._paused - paused

    def tick(self, step: int) -> None:
        """Note that a step is done."""
        self.ticks.append((self.worked(), step))

    def yields(self) -> bool:
        """Tell whether another preview may hold it up: no longer than `LONGEST_PAUSE` on end, then it has a turn."""
        self._count(time.monotonic())
        if self._debt >= LONGEST_PAUSE:
            self._owed = True
        elif self._debt <= 0:
            self._owed = False
        return not self._owed

    def turn_left(self) -> float:
        """Count the seconds for which previews wait, since it has been held up for long enough."""
        return 0.0 if self.yields() else self._debt / (RUNNING_SHARE - 1)

    def _count(self, now: float) -> None:
        passed, self._counted = now - self._counted, now
        if self.held_since is not None:
            self._debt += passed
        else:
            self._debt = max(0.0, self._debt - (RUNNING_SHARE - 1) * passed)
