"""How cues are weighed up: a line of numbers, fitted on slices whose true label is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """Weigh cues by a logistic regression.

    Attributes:
        bias: log-odds of a change where all cues are 0.
        factors: by cue.
    """

    bias: float
    factors: Mapping[str, float]

    def score(self, cues: Mapping[str, np.ndarray]) -> np.ndarray:
        """Add up: log-odds `(H, W)` of the change."""
        parts = (factor * cues[name] for name, factor in self.factors.items())
        return np.asarray(sum(parts, start=np.float64(self.bias)))


def line_for(lines: Sequence[Line], cues: Mapping[str, np.ndarray]) -> Line:
    """Take the first line whose cues are all there; the last needs none of a network."""
    return next(line for line in lines if line.factors.keys() <= cues.keys())


STROKE_LINES: tuple[Line, ...] = (
    Line(-1.0, {"distance": 1.0, "rendering": 0.3, "student": 0.3}),
    Line(-1.0, {"distance": 1.0, "student": 0.3}),
    Line(0.5, {"distance": 1.0, "grey": 0.5}),
)
"""For slices that have been drawn in: with generator, with the student alone, with the image alone."""

NEIGHBOUR_LINES: tuple[Line, ...] = (
    Line(-0.5, {"depth": 1.0, "rendering": 0.3, "student": 0.3}),
    Line(-0.5, {"depth": 1.0, "student": 0.3}),
    Line(0.0, {"depth": 1.0, "grey": 0.5}),
)
"""For their neighbours, in the same order."""
