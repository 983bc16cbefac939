"""Where the axes of a stack of slices run to in the patient, in letters and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_semgan.slicing.orientation import closest_axes

if TYPE_CHECKING:
    from monai_semgan.slicing.geometry import SliceGeometry

ENDS = (("R", "L"), ("P", "A"), ("F", "H"))
"""Letters of both ends of the patient's axes, in the order of `ORIENTATION`."""

WORDS = {"R": "right", "L": "left", "P": "back", "A": "front", "F": "feet", "H": "head"}

NAMES = ("sagittal", "coronal", "axial")
"""Planes across these axes."""


def axis_ends(geometry: SliceGeometry) -> list[tuple[str, str]]:
    """Return the letters of first and last index of each axis (row, column, slice); oblique ones, of the closest."""
    found = [("", "")] * 3
    for ends, (axis, sign) in zip(ENDS, closest_axes(geometry.grid_affine), strict=True):
        found[axis] = ends if sign > 0 else (ends[1], ends[0])
    return found


def plane_across(geometry: SliceGeometry, axis: int) -> str:
    """Name the plane across an axis of the stack: `axial`, `coronal` or `sagittal`, whichever is closest.

    Args:
        geometry: where the slices lie.
        axis: 0 of the rows, 1 of the columns, 2 of the slices.
    """
    order = [stack_axis for stack_axis, _ in closest_axes(geometry.grid_affine)]
    return NAMES[order.index(axis)]
