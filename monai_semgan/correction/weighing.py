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
    Line(
        2.369,
        {
            "distance": 0.2006,
            "way": 0.1846,
            "border": -0.1217,
            "beside": 1.1190,
            "grey": 0.1825,
            "features": 1.2457,
            "student": 0.1169,
            "student_more": 0.1791,
            "rendering": 0.2087,
        },
    ),
    Line(
        2.532,
        {
            "distance": 0.2101,
            "way": 0.2313,
            "border": -0.1168,
            "beside": 1.3009,
            "grey": 0.1961,
            "features": 1.2854,
            "student": 0.2492,
            "student_more": 0.1758,
        },
    ),
    Line(
        2.245,
        {"distance": 0.0836, "way": 0.4394, "border": -0.0083, "beside": 2.3051, "grey": 0.2031, "features": 2.0087},
    ),
)
"""For slices that have been drawn in: with the generator, with the student alone, with neither."""

NEIGHBOUR_LINES: tuple[Line, ...] = (
    Line(
        0.712,
        {
            "depth": 0.3324,
            "within": 0.0862,
            "same_grey": 0.0158,
            "border": -0.0613,
            "beside": 0.6571,
            "grey": 0.2388,
            "features": 0.1842,
            "student": 0.1515,
            "student_more": 0.1172,
            "rendering": 0.2075,
        },
    ),
    Line(
        0.661,
        {
            "depth": 0.3913,
            "within": 0.1227,
            "same_grey": -0.0125,
            "border": -0.0635,
            "beside": 0.8007,
            "grey": 0.2522,
            "features": 0.2351,
            "student": 0.2281,
            "student_more": 0.1403,
        },
    ),
    Line(
        0.252,
        {
            "depth": 0.4658,
            "within": -0.0412,
            "same_grey": 0.2106,
            "border": 0.0006,
            "beside": 1.2006,
            "grey": 0.2369,
            "features": 1.0859,
        },
    ),
)
"""For their neighbours, in the same order."""
