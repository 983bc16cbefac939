"""Evenly spaced planes through a stack whose slices are not: some are missing, or their distance changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.frame_traits import read_traits
from monai_semgan.io.dicom.frames import Frame

MAX_RATIO = 4.0
"""Slices may be this many times farther apart, or nearer together, than they usually are."""

MAX_GAP_MM = 10.0
"""Gaps up to here do no harm whatever the usual distance: there are scans with such slices."""

SAME_PLANE = 0.1
"""Part of the distance of planes by which a slice may miss a plane and lie there."""

MOSTLY = 0.8
"""Share of the distances that are the smallest where only some slices are missing."""


@dataclass(frozen=True, eq=False)
class EvenPlanes:
    """Evenly spaced planes, from the first slice to the last, and where the slices lie among them.

    Args:
        places: (n,) of the slices, in distances of planes from the first plane, ascending.
    """

    places: np.ndarray

    @property
    def count(self) -> int:
        """How many planes there are."""
        return int(self.nearest[-1]) + 1

    @property
    def nearest(self) -> np.ndarray:
        """(n,) number of the plane nearest to each slice; none is nearest to two."""
        return np.floor(self.places + 0.5).astype(int)

    @property
    def on_planes(self) -> bool:
        """Whether every slice is one of the planes, so that only those between are interpolated."""
        return bool(np.abs(self.places - self.nearest).max() <= SAME_PLANE)

    def filled(self, array: np.ndarray) -> np.ndarray:
        """Values on the planes: every slice on the plane nearest to it, the others linear between their neighbours.

        Networks see the slices themselves so, and what they find in them is right on the slices. Elsewhere it is off by
        half a distance of planes at the most.

        Args:
            array: (I, J, n) on the slices.

        Returns:
            (I, J, count) of the same type.
        """
        slices = array.transpose(2, 0, 1)
        out = np.empty((self.count, *slices.shape[1:]), dtype=array.dtype)
        out[self.nearest] = slices
        for plane in np.setdiff1d(np.arange(self.count), self.nearest):
            above = int(np.searchsorted(self.places, plane))
            low, high = self.places[above - 1 : above + 1]
            part = np.float32((plane - low) / (high - low))
            mixed = slices[above - 1] * (1 - part) + slices[above] * part
            out[plane] = np.rint(mixed) if array.dtype.kind in "iu" else mixed
        return out.transpose(1, 2, 0)


def even_planes(frames: Sequence[Frame], heights: np.ndarray, rounding: float) -> EvenPlanes:
    """Find planes for slices: such that each slice is one if there are such, else as near together as any slices.

    Args:
        frames: in order.
        heights: (n,) mm of the slices along the normal, ascending.
        rounding: mm, how far the rounding of the positions moves a slice at the most.

    Raises:
        SemganError: distances differ too much, or two acquisitions overlap.
    """
    distances = np.diff(heights)
    usual, shortest, extent = float(np.median(distances)), float(distances.min()), float(np.ptp(heights))
    if shortest < usual / MAX_RATIO:
        raise SemganError(f"some are {shortest:g} mm apart where {usual:g} mm are usual: acquisitions may overlap")
    if distances.max() > max(usual * MAX_RATIO, MAX_GAP_MM):
        raise SemganError(f"{distances.max():g} mm without a slice are too many to be interpolated")
    if np.count_nonzero(distances < 1.5 * shortest) < MOSTLY * len(distances) and _overlap(frames):
        raise SemganError("slices of several acquisitions lie among each other")
    counts = np.arange(int(extent / (1.3 * shortest)), int(np.ceil(extent / (0.8 * shortest))) + 1)
    for count in counts[counts > 0]:
        places, step = (heights - heights[0]) * count / extent, extent / count
        planes = EvenPlanes(np.rint(places))
        off = float(np.abs(places - planes.places).max()) * step
        if off <= min(step / 4, max(step * SAME_PLANE, 2 * rounding)) and (np.diff(planes.places) > 0).all():
            return planes
    count = int(np.ceil(extent / shortest - 1e-6))
    return EvenPlanes((heights - heights[0]) * count / extent)


def _overlap(frames: Sequence[Frame]) -> bool:
    """Whether slices of one acquisition lie among those of another."""
    traits = read_traits(frames)
    numbers = [traits[frame]["acquisition"] for frame in frames]
    changes = sum(one != other for one, other in zip(numbers[:-1], numbers[1:], strict=True))
    return changes >= len(set(numbers))
