"""How far a volume on its way is, and how it is stopped."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Callable

from ..Views import Moved

WINDOW_SECONDS = 10.0
"""The speed is that of the last seconds: a network that has become slow shows."""

SAMPLE_SECONDS = 0.25


class Transfer:
    """Counts the bytes of one transfer; see `Protocols.RunnerProtocol.Transfer`.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, int]] = deque()
        self._done = 0
        self._total: int | None = None
        self._stopped = self._waiting = False
        self._break_off: Callable[[], None] | None = None

    @property
    def stopped(self) -> bool:
        """Whether it is to end now."""
        return self._stopped

    @property
    def done(self) -> int:
        """Bytes so far."""
        return self._done if self._total is None else min(self._done, self._total)

    @property
    def total(self) -> int | None:
        """Bytes of all; None where that is not known."""
        return self._total

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1; None where the whole is not known."""
        return self.done / self._total if self._total else None

    def begin(self, total: int | None, done: int = 0) -> None:
        """Note how many bytes there are, if that is known, and how many of them have arrived."""
        with self._lock:
            if done < self._done:  # what was sent has not arrived: its speed was none
                self._samples.clear()
            self._total, self._done = total, done
            self._note()

    def moved(self, count: int) -> None:
        """Note that further bytes have moved."""
        with self._lock:
            self._done += count
            self._note()

    def waits(self, waiting: bool) -> None:
        """Note that nothing moves until the next try, or that the next try begins."""
        with self._lock:
            self._waiting = waiting
            self._samples.clear()

    def speed(self) -> float | None:
        """Compute bytes a second over the last seconds; None while that is not known."""
        with self._lock:
            if not self._samples:
                return None
            since, before = self._samples[0]
            seconds = self._clock() - since
            return (self._done - before) / seconds if seconds >= SAMPLE_SECONDS else None

    def seconds_left(self) -> float | None:
        """Estimate the time until the end; None where it cannot be told."""
        speed = self.speed()
        return (self._total - self.done) / speed if self._total is not None and speed else None

    def moved_so_far(self) -> Moved:
        """Say how far it is."""
        return Moved(self.done, self.total, self.speed(), self.seconds_left(), self._waiting)

    def stop(self) -> None:
        """End it, also a step that waits."""
        with self._lock:
            self._stopped = True
            self._call_break_off()

    def on_stop(self, break_off: Callable[[], None] | None) -> None:
        """Set what `stop` calls; at once if it was called already."""
        with self._lock:
            self._break_off = break_off
            if self._stopped:
                self._call_break_off()

    def _call_break_off(self) -> None:
        if self._break_off is not None:
            with suppress(OSError):  # the connection has ended by itself
                self._break_off()

    def _note(self) -> None:
        now = self._clock()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, self._done))
        while len(self._samples) > 1 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
