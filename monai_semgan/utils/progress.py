"""Progress of long computations: told by the code that works, shown by the command line, stopped by Ctrl-C.

A segmentation tells every step to one callback, `on_step(event)`, which may raise `Cancelled` to end it; `on_step_of`
makes such a callback of a `Progress`. Other long computations take the `Progress` itself.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TextIO, TypeVar

from tqdm import tqdm

from monai_semgan.errors import Cancelled

if TYPE_CHECKING:
    import torch

R = TypeVar("R")
S = TypeVar("S")

Phase = Literal["preview", "start", "batch", "step"]

MESSAGES: dict[Phase, str] = {
    "preview": "segmenting slice",
    "start": "finding latents to start from, step",
    "batch": "inverting step",
    "step": "inverting step",
}
"""What is being done in a phase; the count follows it."""


ETA = "ETA"
"""Name of the value that tells `Progress` the seconds left."""

LINE_SECONDS, LONGEST_LINE_SECONDS, LINE_SHARE = 10.0, 300.0, 0.05
"""Time between two lines in a log file: at least, at most, and as a share of the time since the first."""


@dataclass(frozen=True, eq=False)
class StepEvent(Generic[R]):
    """Tell where a segmentation stands; what `on_step` is called with.

    Attributes:
        phase: `preview` when a batch of slices has been segmented feed-forward; `start` when an inversion begins to
            look for latents to start from, which takes as long as some steps; `step` when it has evaluated an update;
            `batch` between the batches of a step, where nothing is new but the search can be left.
        step: slices done in phase `preview`, updates done otherwise.
        steps: slices or updates in all.
        slices: slices of the volume.
        converged: slices that are no longer searched, since they do not improve.
        losses: `(D,)` latest losses in phase `step`, NaN where not computed; None otherwise.
        make_partial: what `partial` calls.
    """

    phase: Phase
    step: int
    steps: int
    slices: int = 0
    converged: int = 0
    losses: torch.Tensor | None = None
    make_partial: Callable[[], R] | None = field(default=None, repr=False)

    def partial(self) -> R | None:
        """Make a result of what has been found so far, which takes about as long as a step; None if there is none yet.

        Call it before the callback returns.
        """
        return None if self.make_partial is None else self.make_partial()

    @property
    def loss(self) -> float:
        """Mean of the latest losses; NaN if there are none."""
        return float("nan") if self.losses is None else float(self.losses.nanmean())

    @property
    def message(self) -> str:
        """Say in words what is being done."""
        return f"{MESSAGES[self.phase]} {self.step} of {self.steps}" if self.steps else MESSAGES[self.phase]

    def converted(self, convert: Callable[[R], S]) -> StepEvent[S]:
        """Return the same event with another kind of partial result, made of this one's when asked for."""
        make = self.make_partial
        partial = None if make is None else lambda: convert(make())
        return StepEvent(self.phase, self.step, self.steps, self.slices, self.converged, self.losses, partial)


OnStep = Callable[[StepEvent[Any]], None]
"""Called during a segmentation; raises `Cancelled` to end it. An inversion then gives the best result so far, a preview
has nothing to give and passes `Cancelled` on."""


class Progress(Protocol):
    """Take reports of long computations, once per batch or step."""

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Tell that `done` of `total` units are finished.

        Args:
            done: finished units.
            total: all units.
            message: what is being done; the display keeps the last one.
            values: figures worth showing, for example a loss. One called `ETA` is the time left in seconds, where
                the caller knows better than the pace of the units tells; a share is shown in place of the count then.
        """

    def should_stop(self) -> bool:
        """Tell whether the user wants the work to end after the current unit."""


class NullProgress:
    """Show nothing and never stop."""

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Do nothing."""

    def should_stop(self) -> bool:
        """Say no."""
        return False


def on_step_of(progress: Progress) -> OnStep:
    """Show the steps of a segmentation on a `Progress`, and end it when that wants to stop."""

    def on_step(event: StepEvent[Any]) -> None:
        values: dict[str, float] = {}
        if event.phase == "step":
            values = {"loss": event.loss, "converged": event.converged, "slices": event.slices}
        if event.phase != "batch":
            steps, done = (
                (event.steps, event.step) if event.steps else (1, int(event.phase == "step"))
            )  # rendering only
            progress.update(done, steps, MESSAGES[event.phase], **values)
        if progress.should_stop():
            raise Cancelled

    return on_step


class CancelToken:
    """Turn Ctrl-C into a wish to stop: the first asks for an orderly end, the second interrupts at once.

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
