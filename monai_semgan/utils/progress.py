"""Progress of long computations: told by the code that works, shown by the command line, stopped by Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol, TextIO

from tqdm import tqdm


class Progress(Protocol):
    """What long computations report to, once per batch or step."""

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Tell that `done` of `total` units are finished.

        Args:
            done: finished units.
            total: all units.
            message: what is being done; the display keeps the last one.
            values: figures worth showing, for example a loss.
        """

    def should_stop(self) -> bool:
        """Whether the user wants the work to end after the current unit."""


class NullProgress:
    """Shows nothing and never stops."""

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Do nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False


class CancelToken:
    """Turns Ctrl-C into a wish to stop: the first asks for an orderly end, the second interrupts at once.

    Use as a context manager; the former handler comes back at the end. Outside the main thread, where signals cannot
    be caught, only `cancel` sets it.

    Args:
        note: said on stderr at the first Ctrl-C.
        stream: where the note goes; stderr when left out.
    """

    def __init__(
        self, note: str = "stopping after this step; Ctrl-C again stops at once", stream: TextIO | None = None
    ):
        self.note = note
        self.stream = stream
        self.cancelled = False
        self._former: Any = None
        self._installed = False

    def cancel(self) -> None:
        """Ask for an orderly end."""
        self.cancelled = True

    def __enter__(self) -> CancelToken:
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._former)
            self._installed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.cancelled:
            raise KeyboardInterrupt
        self.cancelled = True
        (self.stream or sys.stderr).write(f"\n{self.note}\n")


class BarProgress:
    """A bar with count, elapsed time and ETA on stderr. A new total, or a count that falls back, begins a new bar.

    Args:
        message: what is being done, until `update` tells; the count follows it, as in `segmenting slice 3/20`.
        token: where `should_stop` looks.
        stream: where the bar is drawn; stderr when left out.
    """

    def __init__(self, message: str = "", token: CancelToken | None = None, stream: TextIO | None = None) -> None:
        self.token = token
        self.stream = stream or sys.stderr
        self._message = message
        self._bar: Any = None

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Draw the bar anew."""
        self._message = message or self._message
        if self._bar is None or total != self._bar.total or done < self._bar.n:
            self._begin(total)
        self._bar.set_description_str(self._message, refresh=False)
        if values:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
        self._bar.update(done - self._bar.n)

    def should_stop(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.token is not None and self.token.cancelled

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> BarProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, total: int) -> None:
        self.close()
        terminal = bool(getattr(self.stream, "isatty", lambda: False)())
        self._bar = tqdm(
            total=total,
            desc=self._message,
            file=self.stream,
            dynamic_ncols=terminal,
            mininterval=0.1 if terminal else 10.0,
            bar_format="{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}, ETA {remaining}{postfix}",
        )
