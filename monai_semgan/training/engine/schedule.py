"""How long a stage trains: steps, a time budget, or whichever of the two ends first."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from monai_semgan.errors import SemganError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str | float) -> float:
    """Seconds meant by `90s`, `25m`, `1.5h`, `1h30m` or a plain number of seconds.

    Raises:
        SemganError: if the text is no duration above zero.
    """
    if isinstance(text, (int, float)):
        seconds = float(text)
    else:
        compact = text.replace(" ", "").lower()
        parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", compact)
        if not parts or "".join(number + unit for number, unit in parts) != compact:
            raise SemganError(f"{text!r} is no duration", remedy="write for example 90s, 25m or 1h30m")
        if len(parts) > 1 and any(not unit for _, unit in parts):
            raise SemganError(f"{text!r} is no duration", remedy="give every number its unit, for example 1h30m")
        seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if not (math.isfinite(seconds) and seconds > 0):
        raise SemganError(f"a time budget of {text} is not positive", remedy="write for example 90s, 25m or 1h30m")
    return seconds


@dataclass(frozen=True)
class Schedule:
    """The end of a stage and how far it has come.

    Args:
        steps: number of optimisation steps, or None.
        budget: seconds of training, or None; validation and sheets are not counted, see `without`.

    Raises:
        SemganError: if neither is given or one is not positive.
    """

    steps: int | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None:
            raise SemganError("the stage has no end", remedy="give --budget (for example 25m) or --steps")
        if self.steps is not None and self.steps < 1:
            raise SemganError(f"{self.steps} steps are too few", remedy="give --steps 1 or more")
        if self.budget is not None and not self.budget > 0:
            raise SemganError(f"a budget of {self.budget} s is not positive", remedy="give --budget 25m, for example")

    def without(self, share: float) -> Schedule:
        """The schedule of what is left for training when checks get a share of the budget."""
        return self if self.budget is None else replace(self, budget=self.budget * (1.0 - share))

    def fraction(self, step: int, elapsed: float) -> float:
        """Progress in [0, 1] after `step` steps and `elapsed` seconds: that of the end which comes first."""
        by_steps = step / self.steps if self.steps is not None else 0.0
        by_time = elapsed / self.budget if self.budget is not None else 0.0
        return min(1.0, max(by_steps, by_time))

    def done(self, step: int, elapsed: float) -> bool:
        """Whether the stage has come to its end."""
        return self.fraction(step, elapsed) >= 1.0


def processor_seconds() -> float:
    """Seconds of this process's processors, as long as its work would have taken with all its threads undisturbed."""
    return time.process_time() / torch.get_num_threads()


Clock = Literal["wall", "processor"]
"""What a time budget is measured by: the clock on the wall, or `processor_seconds`, which others on the machine, and
pauses, do not use up."""

CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.monotonic, "processor": processor_seconds}


class Stopwatch:
    """Seconds of training, going on from those of an earlier process.

    Args:
        elapsed: seconds that count already.
        clock: source of the time, replaceable in tests.
    """

    def __init__(self, elapsed: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._base = elapsed
        self._started = clock()
        self._paused = 0

    @property
    def elapsed(self) -> float:
        """Seconds counted so far."""
        return self._base if self._paused else self._base + self._clock() - self._started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time spent inside."""
        self._base = self.elapsed
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1
            self._started = self._clock()


class Slot:
    """The time that a process has, all its stages and folds together.

    Args:
        seconds: from now on; None for no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds left, more than 0: a stage that begins too late makes a step. None for no end."""
        return None if self._end is None else max(1e-3, self._end - time.monotonic())


def cosine_factor(fraction: float, warmup: float = 0.05, floor: float = 0.0) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to `floor` (Loshchilov, Hutter 2017).

    Args:
        fraction: progress of the stage in [0, 1].
        warmup: share of the stage that warms up.
        floor: factor at the end.
    """
    if fraction < warmup:
        return (fraction + 1e-3) / (warmup + 1e-3)
    position = (fraction - warmup) / max(1e-9, 1.0 - warmup)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, position)))


def constant_factor(fraction: float, warmup: float = 0.01, decay: float = 0.2) -> float:
    """Factor of the learning rate of adversarial training: warm-up, constant, linear down to a tenth at the end."""
    if fraction < warmup:
        return (fraction + 1e-3) / (warmup + 1e-3)
    remaining = (1.0 - fraction) / max(decay, 1e-9)
    return max(0.1, min(1.0, remaining))
