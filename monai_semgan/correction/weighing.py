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
        1.607,
        {
            "distance": 0.1000,
            "way": 0.0919,
            "border": -0.1485,
            "beside": 1.5652,
            "grey": 0.2869,
            "features": 0.8639,
            "student": 0.1312,
            "student_more": 0.1138,
            "rendering": 0.0163,
            "move_end": 0.2423,
            "move": -0.1245,
        },
    ),
    Line(
        2.185,
        {
            "distance": 0.1407,
            "way": 0.1696,
            "border": -0.1350,
            "beside": 1.3316,
            "grey": 0.2071,
            "features": 1.4044,
            "student": 0.0984,
            "student_more": 0.1550,
            "rendering": 0.2191,
        },
    ),
    Line(
        2.249,
        {
            "distance": 0.1559,
            "way": 0.2020,
            "border": -0.1115,
            "beside": 1.4607,
            "grey": 0.2259,
            "features": 1.4744,
            "student": 0.2134,
            "student_more": 0.1731,
        },
    ),
    Line(
        1.931,
        {"distance": 0.0650, "way": 0.3114, "border": 0.0067, "beside": 2.4187, "grey": 0.2450, "features": 2.1213},
    ),
)
"""For slices that have been drawn in: with a moved latent, with a rendering, with the student alone, with neither."""

NEIGHBOUR_LINES: tuple[Line, ...] = (
    Line(
        0.219,
        {
            "depth": 0.2483,
            "within": 0.2306,
            "same_grey": 0.2678,
            "border": -0.0365,
            "beside": 0.5881,
            "grey": 0.2616,
            "features": 0.1847,
            "student": 0.1181,
            "student_more": 0.1730,
            "rendering": 0.1866,
        },
    ),
    Line(
        0.141,
        {
            "depth": 0.2990,
            "within": 0.2535,
            "same_grey": 0.3275,
            "border": -0.0337,
            "beside": 0.6977,
            "grey": 0.2819,
            "features": 0.2478,
            "student": 0.1746,
            "student_more": 0.2003,
        },
    ),
    Line(
        -0.297,
        {
            "depth": 0.3755,
            "within": 0.1315,
            "same_grey": 0.5925,
            "border": 0.0633,
            "beside": 1.0361,
            "grey": 0.2244,
            "features": 1.1284,
        },
    ),
)
"""For their neighbours: with a rendering, with the student alone, with neither."""
