"""Labels with an error in one slice."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated_reading.worst_stroke import slice_axis
from monai_semgan.io.volume import Volume

LIVER = 1


def slices_of(volume: Volume) -> np.ndarray:
    """The label with its axial slices first; a view."""
    return np.moveaxis(volume.array, slice_axis(volume.affine), 0)


def without_one_slice(volume: Volume) -> tuple[np.ndarray, int]:
    """The label without the liver in the slice that shows most of it."""
    label = volume.array.copy()
    axial = np.moveaxis(label, slice_axis(volume.affine), 0)
    worst = int((axial == LIVER).sum(axis=(1, 2)).argmax())
    axial[worst][axial[worst] == LIVER] = 0
    return label, worst
