"""A reader and a method of correction, stroke by stroke."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.volume import Volume
from monai_semgan.quality.overlap import dice

from .worst_stroke import worst_stroke


@dataclass(frozen=True, eq=False)
class ReaderState:
    """What a reader looks at.

    Attributes:
        volume: the scan.
        label: (I, J, K) ids on its grid, as they stand.
        strokes: drawn until now, the oldest first.
    """

    volume: Volume
    label: np.ndarray
    strokes: tuple[Stroke, ...] = ()


class Method(Protocol):
    """A way to correct a label by a stroke."""

    name: str

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Return the label (I, J, K) after a further stroke; `state` stays as it is."""
        ...


@dataclass(frozen=True)
class Reading:
    """What a reader got by correcting one structure of one scan.

    Attributes:
        dice: before the first stroke, and after each.
        strokes: that were drawn; fewer than asked for where no error was left.
        seconds: that each correction took.
    """

    dice: tuple[float, ...]
    strokes: tuple[Stroke, ...] = field(default=(), repr=False)
    seconds: tuple[float, ...] = ()


def read(
    method: Method,
    volume: Volume,
    label: np.ndarray,
    reference: np.ndarray,
    structure: int,
    rounds: int,
    *,
    clock: Callable[[], float],
    given: Sequence[Stroke] | None = None,
) -> Reading:
    """Correct a structure stroke by stroke.

    Args:
        method: how.
        volume: the scan.
        label: (I, J, K) ids to begin with.
        reference: (I, J, K) true ids, of the same numbers.
        structure: id.
        rounds: strokes.
        clock: seconds.
        given: strokes to apply instead of those that the reader would draw.
    """
    state, replayed = ReaderState(volume, label), iter(given or ())
    scores, seconds = [dice(label == structure, reference == structure)], []
    for _ in range(rounds):
        drawn = (
            worst_stroke(state.label, reference, structure, volume.affine) if given is None else next(replayed, None)
        )
        if drawn is None:
            break
        began = clock()
        corrected = method.apply(state, drawn)
        seconds.append(clock() - began)
        scores.append(dice(corrected == structure, reference == structure))
        state = ReaderState(volume, corrected, (*state.strokes, drawn))
    return Reading(tuple(scores), state.strokes, tuple(seconds))
