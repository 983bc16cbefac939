"""A training and what the server knows of it that clients are not told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.jobs.train_contract import Training, TrainState
from monai_semgan.jobs.training_child import TrainingChild
from monai_semgan.jobs.training_files import Record

ENDED = (TrainState.done, TrainState.cancelled, TrainState.interrupted, TrainState.failed)

WAITING_FOR_JOBS = "jobs go first; it goes on when none is running or waiting"


@dataclass
class TrainingEntry:
    """A training.

    Attributes:
        record: what is kept on disk.
        child: the process that learns; None while there is none.
        cancelled: somebody has asked for its end.
        let_go: its process was ended for want of memory; it goes on later.
        began: of its process, by the monotonic clock.
    """

    record: Record
    child: TrainingChild | None = None
    cancelled: bool = False
    let_go: bool = False
    began: float | None = None
    _held_since: float | None = None
    _seconds_left: float = field(default=0.0, repr=False)
    _counting_since: float | None = field(default=None, repr=False)

    @property
    def training(self) -> Training:
        """As clients see it."""
        return self.record.training

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.training.state in ENDED

    def begin(self) -> None:
        """Note that it is being worked on."""
        training = self.training
        training.state, training.message = TrainState.running, "reading labels"
        training.started = training.started or time.time()
        self.began, self._held_since = time.monotonic(), None
        self._seconds_left, self._counting_since = training.seconds, None

    def hold(self) -> None:
        """Let jobs go first."""
        if self.child is None or self.training.state is not TrainState.running:
            return
        self.training.state, self.training.message = TrainState.paused, WAITING_FOR_JOBS
        self._held_since = time.monotonic()
        self._stop_counting()
        self.child.pause()

    def release(self) -> None:
        """Let it go on."""
        if self.training.state is not TrainState.paused:
            return
        self.training.state, self.training.message = TrainState.running, "goes on"
        self._count()
        if self.child is not None:
            self.child.resume()

    def progress(self, message: dict[str, Any]) -> None:
        """Take in what its process tells.

        While it reads or measures it tells no time left, and what it told last stands still.
        """
        training = self.training
        training.step, training.steps = int(message["step"]), int(message["steps"])
        if training.state is TrainState.running:
            training.message = str(message.get("message") or "learning")
        eta = message.get("eta")
        if isinstance(eta, int | float):
            held = self._held_since is not None  # it tells the news of its step, and only then it waits
            self._seconds_left, self._counting_since = float(eta), None if held else time.monotonic()
        else:
            self._stop_counting()

    def end(self, state: TrainState, message: str) -> None:
        """Note that it has ended."""
        self._count()
        self.training.state, self.training.message = state, message
        self.training.finished = time.time()
        self.child, self.began = None, None

    def wait_again(self, message: str) -> None:
        """Put it back: it has ended, or was let go, and shall go on."""
        self._count()
        self.training.state, self.training.message, self.training.finished = TrainState.queued, message, None
        self.child, self.cancelled, self.let_go = None, False, False

    def told(self, asker: Asker = NOBODY) -> Training:
        """Return it as the one who asks sees it now."""
        owner = self.record.owner
        changes: dict[str, Any] = {"mine": None if owner is None else owner == asker.owner}
        if self.training.state in (TrainState.running, TrainState.paused):
            changes["eta_seconds"] = self._left()
        paused = 0.0 if self._held_since is None else time.monotonic() - self._held_since
        changes["paused_seconds"] = round(self.training.paused_seconds + paused, 1)
        return self.training.model_copy(update=changes)

    def _left(self) -> float | None:
        """Seconds of learning that are left; None when they are over, since nobody knows how long the rest takes."""
        passed = 0.0 if self._counting_since is None else time.monotonic() - self._counting_since
        return round(self._seconds_left - passed, 1) if self._seconds_left > passed else None

    def _stop_counting(self) -> None:
        self._seconds_left, self._counting_since = self._left() or 0.0, None

    def _count(self) -> None:
        if self._held_since is not None:
            self.training.paused_seconds += time.monotonic() - self._held_since
            self._held_since = None
