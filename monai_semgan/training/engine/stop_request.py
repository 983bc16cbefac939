"""Whether someone wants a run to end: signals, the display, or the end of a slot."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import Cancelled

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

PATIENCE = 3.0
"""Seconds that a step is waited for after a signal: with a checkpoint the end comes within 10."""


class StopRequest:
    """Whether someone wants the run to end: Ctrl-C, SIGTERM, or the progress display's cancel.

    The step in hand is finished, unless it takes longer than `PATIENCE` and whoever makes it can take it back
    (`may_leave`). A second Ctrl-C aborts at once. Handlers that others have installed for Ctrl-C are left alone.

    Args:
        progress: asked by `should_stop()`.
        seconds: stop after so many seconds of this process, as in a short slot on a shared machine.
    """

    def __init__(self, progress: Progress, seconds: float | None = None) -> None:
        self._progress = progress
        self._deadline = time.monotonic() + seconds if seconds is not None else None
        self._signalled = False
        self._leave = self._impatient = False
        self._previous: dict[int, Any] = {}

    @contextlib.contextmanager
    def may_leave(self) -> Iterator[None]:
        """Mark a block as one that may be left half done, some seconds after a signal.

        Raises:
            Cancelled: where that happens.
        """
        self._leave = True
        try:
            yield
        finally:
            self._leave = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                if signal.getsignal(number) == default:
                    self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._impatient:  # the timer's signal, not a person's
            self._impatient = False
            if self._leave:
                raise Cancelled
            return
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        timer = threading.Timer(PATIENCE, self._interrupt, [number])
        timer.daemon = True
        timer.start()

    def _interrupt(self, number: int) -> None:
        """Reach into the main thread, if it is still at the same step."""
        if self._leave and signal.getsignal(number) == self._receive:
            self._impatient = True
            if hasattr(signal, "pthread_kill"):  # wakes what waits, too
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            else:
                _thread.interrupt_main(signal.Signals(number))

    @property
    def cancelled(self) -> bool:
        """Whether a person asked, rather than the end of the slot."""
        return self._signalled or self._progress.should_stop()

    def __bool__(self) -> bool:
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return late or self.cancelled
