"""Which axis of a volume runs along which axis of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

ORIENTATION = ("L", "A", "S")
"""Axis 0 of a slice stack runs from right to left, axis 1 from posterior to anterior, axis 2 from feet to head."""


class View(NamedTuple):
    """A standard view: unit vectors in RAS of the axes of a stack of slices.

    Attributes:
        name: of the view.
        rows: axis 0 of a slice, to the right in a picture.
        columns: axis 1 of a slice, upwards in a picture.
        slices: axis 2, the order of the slices.
    """

    name: str
    rows: tuple[float, float, float]
    columns: tuple[float, float, float]
    slices: tuple[float, float, float]


VIEWS = (
    View("axial", (-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    View("coronal", (-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    View("sagittal", (0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    View("short-axis", (-0.707, -0.707, 0.0), (-0.375, 0.375, 0.848), (0.6, -0.6, 0.53)),
)
"""Volumes of thick slices are turned to the one of these that their slices are closest to.

Slices across the left ventricle lie halfway between the first three, some degrees nearer to the one or the other in
every patient: with a view of their own they are turned alike in all.
"""


def closest_axes(affine: np.ndarray) -> list[tuple[int, int]]:
    """For each axis of the slice stack the volume axis that is closest to it, and its sign.

    Args:
        affine: (4, 4) voxel to RAS mm.
    """
    change = ornt_transform(io_orientation(affine), axcodes2ornt(ORIENTATION))
    return [(int(axis), int(change[axis, 1])) for axis in np.argsort(change[:, 0])]


def closest_view(affine: np.ndarray, across: int) -> View:
    """Find the standard view that stored slices are closest to, by the direction across them.

    Args:
        affine: (4, 4) voxel to RAS mm.
        across: the volume's axis across its slices.
    """
    first, second = _in_plane(affine, across).values()
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal)
    return max(VIEWS, key=lambda view: round(abs(float(normal @ np.cross(view.rows, view.columns))), 6))


def turned_to_view(affine: np.ndarray, across: int) -> list[tuple[int, int]]:
    """For each axis of a stack of stored slices the volume axis that is closest in its standard view, and its sign.

    The result does not depend on the order and direction in which the axes are stored, also where two choices are as
    good.

    Args:
        affine: (4, 4) voxel to RAS mm.
        across: the volume's axis across its slices.
    """
    view, directions = closest_view(affine, across), _in_plane(affine, across)

    def merit(choice: tuple[tuple[int, int], int, int]) -> tuple[float, ...]:
        (row, column), row_sign, column_sign = choice
        rows, columns = row_sign * directions[row], column_sign * directions[column]
        fit = float(rows @ np.asarray(view.rows) + columns @ np.asarray(view.columns))
        return (round(fit, 6), *np.round(rows, 6).tolist(), *np.round(columns, 6).tolist())

    first, second = directions
    (row, column), row_sign, column_sign = max(product(((first, second), (second, first)), (1, -1), (1, -1)), key=merit)
    forward = 1 if float(affine[:3, across] @ np.asarray(view.slices)) >= 0 else -1
    return [(row, row_sign), (column, column_sign), (across, forward)]


def _in_plane(affine: np.ndarray, across: int) -> dict[int, np.ndarray]:
    """Unit vectors in RAS of the two axes within the slices, by the volume's axis."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return {axis: directions[:, axis] for axis in range(3) if axis != across}


def reordering(axes: Sequence[tuple[int, int]], shape: Sequence[int]) -> np.ndarray:
    """(4, 4) index on axes that are reordered and flipped to index on the volume's own axes.

    Args:
        axes: for each new axis the volume's axis and its sign, as of `closest_axes`.
        shape: (I, J, K) of the volume.
    """
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for new, (axis, sign) in enumerate(axes):
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
