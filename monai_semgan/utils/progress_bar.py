"""Progress as the command line shows it: a bar on a terminal, lines in a log file."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from tqdm import tqdm

from monai_semgan.utils.progress import ETA, CancelToken

LINE_SECONDS, LONGEST_LINE_SECONDS, LINE_SHARE = 10.0, 300.0, 0.05
"""Time between two lines in a log file: at least, at most, and as a share of the time since the first."""


class BarProgress:
    """Draw a bar with count, elapsed time and ETA on stderr. A new total, or a smaller count, begins a new bar.

    Where the stream is no terminal, as in a log file, there are lines in place of the bar: at the beginning, at the
    end, and now and then between them, ever more rarely.

    Args:
        message: what is being done, until `update` tells; the count follows it, as in `segmenting slice 3/20`.
        token: where `should_stop` looks.
        stream: where the bar is drawn; stderr when left out.
        clock: source of the time for lines, replaceable in tests.
    """

    def __init__(
        self,
        message: str = "",
        token: CancelToken | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token
        self.stream: TextIO | None = stream or sys.stderr
        self._message, self._clock = message, clock
        self._bar: _Bar | _Lines | None = None

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Draw the bar anew."""
        if self.stream is None:  # a program without a terminal, such as one that Windows started by a click
            return
        self._message = message or self._message
        if self._bar is None or total != self._bar.total or done < self._bar.done:
            self.close()
            terminal = bool(getattr(self.stream, "isatty", lambda: False)())
            self._bar = _Bar(total, self.stream) if terminal else _Lines(total, self.stream, self._clock)
        eta = values.pop(ETA, None)
        self._bar.show(done, self._message, {name: f"{value:.4g}" for name, value in values.items()}, eta)

    def should_stop(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
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


class _Bar:
    """A bar on a terminal, drawn at most ten times a second."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total, self.done = total, 0
        self._bar = tqdm(total=total, file=stream, dynamic_ncols=True, bar_format=self._layout(None))
        self._drawn = -math.inf

    def show(self, done: int, message: str, values: Mapping[str, str], eta: float | None) -> None:
        """Draw it anew."""
        self.done = self._bar.n = done
        self._bar.bar_format = self._layout(eta)
        self._bar.set_description_str(message, refresh=False)
        if values:
            self._bar.set_postfix(values, refresh=False)
        now = time.monotonic()
        if now - self._drawn >= 0.1 or done >= self.total:
            self._bar.refresh()
            self._drawn = now

    def close(self) -> None:
        """Leave it on the screen."""
        self._bar.close()

    @staticmethod
    def _layout(eta: float | None) -> str:
        count, left = ("{n_fmt}/{total_fmt}", "{remaining}") if eta is None else ("{percentage:.0f} %", minutes(eta))
        return f"{{desc}} {count} |{{bar}}| {{elapsed}}, ETA {left}{{postfix}}"


class _Lines:
    """Lines in a file, which nobody draws over."""

    def __init__(self, total: int, stream: TextIO, clock: Callable[[], float]) -> None:
        self.total, self.done = total, 0
        self._stream, self._clock = stream, clock
        self._began = self._due = clock()
        self._first: int | None = None
        self._unwritten = ""

    def show(self, done: int, message: str, values: Mapping[str, str], eta: float | None) -> None:
        """Write a line if it is time for one, or if it is the last."""
        now = self._clock()
        elapsed = now - self._began
        self._first = done if self._first is None else self._first
        ended, last = self.done >= self.total, done >= self.total
        self.done = done
        if ended:  # the line of the end stands there
            return
        count = f"{done}/{self.total}" if eta is None else f"{100 * done / max(1, self.total):.0f} %"
        if eta is None and done > self._first:
            eta = elapsed * (self.total - done) / (done - self._first)
        parts = [f"{message} {count}", minutes(elapsed), f"ETA {'?' if eta is None else minutes(eta)}"]
        self._unwritten = ", ".join([*parts, *(f"{name}={value}" for name, value in values.items())])
        if last or now >= self._due:
            self._write()
            self._due = now + min(max(LINE_SECONDS, LINE_SHARE * elapsed), LONGEST_LINE_SECONDS)

    def close(self) -> None:
        """Write what has been told last."""
        if self._unwritten:
            self._write()

    def _write(self) -> None:
        self._stream.write(self._unwritten + "\n")
        self._stream.flush()
        self._unwritten = ""


def minutes(seconds: float) -> str:
    """Write a duration as a clock does: `07:30`, `1:02:03`."""
    return str(tqdm.format_interval(max(0.0, seconds)))
