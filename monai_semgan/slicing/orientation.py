"""Which axis of a volume runs along which axis of the patient."""

from __future__ import annotations

import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

ORIENTATION = ("L", "A", "S")
"""Axis 0 of a slice stack runs from right to left, axis 1 from posterior to anterior, axis 2 from feet to head."""


def closest_axes(affine: np.ndarray) -> list[tuple[int, int]]:
    """For each axis of the slice stack the volume axis that is closest to it, and its sign.

    Args:
        affine: (4, 4) voxel to RAS mm.
    """
    change = ornt_transform(io_orientation(affine), axcodes2ornt(ORIENTATION))
    return [(int(axis), int(change[axis, 1])) for axis in np.argsort(change[:, 0])]


def reordering(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(4, 4) index on axes that are reordered and flipped to `ORIENTATION` to index on the volume's own axes.

    Args:
        affine: (4, 4) voxel to RAS mm.
        shape: (I, J, K) of the volume.
    """
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for new, (axis, sign) in enumerate(closest_axes(affine)):
        matrix[axis, new] = sign
        matrix[axis, 3] = 0.0 if sign > 0 else shape[axis] - 1
    return matrix


def obliqueness(affine: np.ndarray) -> float:
    """Largest angle in degrees between an axis of the volume and the patient axis that is closest to it.

    Args:
        affine: (4, 4) voxel to RAS mm.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = [abs(directions[patient, axis]) for patient, (axis, _) in enumerate(closest_axes(affine))]
    return float(np.degrees(np.arccos(np.clip(min(cosines), 0.0, 1.0))))
