"""Progress of long computations: told by the code that works, stopped by Ctrl-C; `progress_bar` shows it.

A segmentation tells every step to one callback, `on_step(event)`, which may raise `Cancelled` to end it; `on_step_of`
makes such a callback of a `Progress`. Other long computations take the `Progress` itself.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TextIO, TypeVar

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
