"""Lets a preview go before the inversion that the worker is computing: the two share the model, not the time.

Each has a thread of its own. The inversion looks at `TurnGate` between two batches, and waits there while previews want
to be computed; its state stays where it is, in the memory of its thread, so that it goes on as if nothing had been.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

from monai_semgan.errors import Cancelled

PATIENCE_SECONDS = 1.0
"""A preview waits so long for the inversion to pause, and then begins beside it: reading a scan, rendering and writing
cannot be paused."""

QUIET_SECONDS = 2.0
"""The report of a correction waits so long for strokes that are being followed."""


class TurnGate:
    """Between the threads of a worker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._previews = 0
        self._busy = False

    def announce(self) -> None:
        """Note that there is a preview to be computed."""
        with self._changed:
            self._previews += 1
            self._changed.notify_all()

    def done(self) -> None:
        """Note that one of them is done."""
        with self._changed:
            self._previews -= 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait look again at whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()

    @property
    def wanted(self) -> bool:
        """Whether there are previews to be computed."""
        return self._previews > 0

    def await_pause(self) -> None:
        """Wait until the inversion has paused, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, PATIENCE_SECONDS)

    def await_quiet(self) -> None:
        """Wait until no preview is to be computed, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self.wanted, QUIET_SECONDS)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Within the block, an inversion computes, but for the time that it spends in `pause`."""
        self._set_busy(True)
        try:
            yield
        finally:
            self._set_busy(False)

    def pause(self, given_up: Callable[[], bool]) -> None:
        """Wait until no preview wants to be computed, or nobody wants the inversion any more.

        Args:
            given_up: tells the latter; `wake` makes it asked again.
        """
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._previews == 0 or given_up())
            self._busy = True

    def _set_busy(self, busy: bool) -> None:
        with self._changed:
            self._busy = busy
            self._changed.notify_all()


class JobTurn:
    """What a job looks at between two batches: whether it is still wanted, and whether it is its turn.

    Args:
        job: id.
        say: sends a message to the server.
        gate: None for a preview that pauses others.
        cancelled: ids of jobs that nobody wants any more.
    """

    def __init__(self, job: str, say: Callable[..., None], gate: TurnGate | None, cancelled: Container[str]) -> None:
        self.job, self.say, self._gate, self._cancelled_jobs = job, say, gate, cancelled
        self.paused_seconds = 0.0

    def cancelled(self) -> bool:
        """Tell whether the user wants the job to end."""
        return self.job in self._cancelled_jobs

    def keep(self) -> None:
        """Wait while previews want to be computed.

        Raises:
            Cancelled: if the user wants the job to end.
        """
        if self._gate is not None and self._gate.wanted and not self.cancelled():
            begun = time.perf_counter()
            self.say("paused", job=self.job)
            self._gate.pause(self.cancelled)
            self.say("resumed", job=self.job)
            self.paused_seconds += time.perf_counter() - begun
        if self.cancelled():
            raise Cancelled
