"""The straight line on which the slices of a stack lie, fitted to positions that exporters round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAST_DIGITS = (1.0, 0.1, 0.01, 0.001)
"""mm to which programs round positions."""

SAME_MM = 0.01
"""Less than anything that matters for an organ."""


@dataclass(frozen=True, eq=False)
class StackLine:
    """Evenly spaced places that fit the positions of slices best.

    Args:
        origin: (3,) mm, place of the first slice.
        step: (3,) mm from slice to slice.
        along: (n,) mm, how far each slice lies from its place along the normal.
        across: (n,) mm, the same across it.
        rounding: mm, how far the rounding of the positions moves a slice at the most.
    """

    origin: np.ndarray
    step: np.ndarray
    along: np.ndarray
    across: np.ndarray
    rounding: float

    def tilt(self, normal: np.ndarray) -> float:
        """Degrees between the line and the normal of the slices."""
        along = float(self.step @ normal)
        return float(np.degrees(np.arctan2(np.linalg.norm(self.step - along * normal), abs(along))))

    @property
    def tolerance(self) -> float:
        """mm along the normal by which slices may miss their places and still be evenly spaced.

        A tenth of the distance between slices does no harm: a label is then off by a tenth of a slice. Rounded
        positions are off by half of their last digit, slices of 0.625 mm with one decimal by 0.05 mm, and the line that
        is fitted to them may be off by as much. A quarter of the distance is the end, since slices cannot be told from
        missing ones with half of it.
        """
        step = float(np.linalg.norm(self.step))
        return min(step / 4, max(step / 10, 2 * self.rounding + SAME_MM))


def fit_line(positions: np.ndarray, normal: np.ndarray, places: np.ndarray | None = None) -> StackLine:
    """Fit evenly spaced places to positions by least squares.

    Rounding moves the two ends of a stack, and with them a spacing taken from these only; all positions together give
    the spacing to a part of the last digit.

    Args:
        positions: (n, 3) mm, in order, at least two.
        normal: (3,) direction of the stack.
        places: (n,) of the slices in steps, where these are not 0, 1, 2, ...
    """
    number = np.arange(len(positions), dtype=float) if places is None else places
    number = number - number.mean()
    centre = positions.mean(axis=0)
    step = number @ (positions - centre) / (number @ number)
    missed = positions - (centre + number[:, None] * step)
    along = missed @ normal
    across = np.linalg.norm(missed - along[:, None] * normal, axis=1)
    return StackLine(centre + number[0] * step, step, along, across, _rounding(positions, normal))


def _rounding(positions: np.ndarray, normal: np.ndarray) -> float:
    """Half of the last digit of each coordinate that changes, as seen along the normal."""
    total = 0.0
    for values, part in zip(positions.T, np.abs(normal), strict=True):
        if np.ptp(values) > 0:
            total += part * next((digit / 2 for digit in LAST_DIGITS if _multiples(values, digit)), 0.0)
    return float(total)


def _multiples(values: np.ndarray, digit: float) -> bool:
    return bool(np.abs(values / digit - np.rint(values / digit)).max() < 1e-6)
