"""Where the slices of a volume lie: centred on the body, axial in the patient or as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.modalities import guess_modality
from monai_semgan.slicing.body import find_body
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.orientation import closest_axes, reordering, turned_to_view
from monai_semgan.slicing.planes import AXIAL, STORED, is_oblique, slice_axis, stack_axes
from monai_semgan.slicing.trunk import trunk_of

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume
    from monai_semgan.slicing.body import Body


def plan_slices(
    volume: Volume,
    *,
    pixel_mm: float = 2.75,
    size: int = 128,
    modality: str | None = None,
    body: Body | None = None,
    plane: str = AXIAL,
) -> SliceGeometry:
    """Place a stack of slices so that it is centred on the body and holds it.

    Plane `axial`: volumes that lie within `MAX_OBLIQUE_DEGREES` of the patient's axes, sheared up to
    `MAX_SHEARED_DEGREES`, keep their own planes, whatever the order and direction in which they are stored, and so do
    volumes of a single slice, along which nothing can be interpolated; others get true axial planes.

    Plane `stored`: volumes of thick slices (see `slice_axis`) keep these, however oblique, each turned to the standard
    view that it is closest to; volumes that are as fine along all axes are cut as in `axial`.

    Args:
        volume: what to segment.
        pixel_mm: edge of a pixel that the model was trained with; it grows for bodies that do not fit.
        size: H = W of the slices.
        modality: `CT` or `MR`; guessed when left out.
        body: what the slices have to hold, if it is known: result of `find_body` and `body_in_view`.
        plane: `axial` or `stored`.
    """
    if body is None:
        found = find_body(volume.array, volume.spacing, modality or guess_modality(volume.array))
        body = body_in_view(volume, found, pixel_mm, size, plane)
    axes = stack_axes(volume.affine, volume.array.shape, plane)
    if axes is None:
        return plan_axial(volume, body, pixel_mm, size)
    order = reordering(axes, volume.array.shape)
    canonical = volume.affine @ order
    spacing = np.linalg.norm(canonical[:3, :3], axis=0)
    edges = np.linalg.solve(order, np.concatenate([body.bounds(), np.ones((2, 1))], axis=1).T)[:2]
    actual = fitting_pixel(float((np.ptp(edges, axis=1) * spacing[:2]).max()), pixel_mm, size)
    scale = np.diag([actual / spacing[0], actual / spacing[1], 1.0, 1.0])
    scale[:2, 3] = edges.mean(axis=1) - (size - 1) / 2 * actual / spacing[:2]
    shape = volume.array.shape
    return SliceGeometry(shape, volume.affine, size, actual, pixel_mm, canonical @ scale, shape[axes[2][0]])


def body_in_view(volume: Volume, body: Body, pixel_mm: float, size: int, plane: str = AXIAL) -> Body:
    """The body that the slices have to hold: the trunk alone where a body with arms does not fit.

    Args:
        volume: what to segment.
        body: in it.
        pixel_mm: edge of a pixel that the model was trained with.
        size: H = W of the slices.
        plane: `axial` or `stored`.
    """
    axes = closest_axes(volume.affine)
    across = slice_axis(volume.affine, volume.array.shape) if plane == STORED else None
    shown = axes if across is None else turned_to_view(volume.affine, across)
    planes = [axis for axis, _ in shown[:2]]
    if (np.ptp(body.bounds(), axis=0) * volume.spacing)[planes].max() <= pixel_mm * size:
        return body
    if across is not None and is_oblique(volume.affine):  # no axis runs from feet to head, along which arms are seen
        return body
    (left, _), (front, _), (up, sign) = axes
    return trunk_of(body, volume.spacing, (left, front, up), sign > 0) or body


def plan_frame(volume: Volume, size: int) -> SliceGeometry:
    """Fit the whole of a single image, such as a radiograph, into one square slice; its proportions stay.

    Args:
        volume: one axis has one voxel only, across the image.
        size: H = W of the slice.
    """
    shape, affine = volume.array.shape, volume.affine
    thin = max(axis for axis in range(3) if shape[axis] == 1)
    plane = [axis for axis in range(3) if axis != thin]
    left = max(plane, key=lambda axis: abs(affine[0, axis]) / float(np.linalg.norm(affine[:3, axis])))
    up = next(axis for axis in plane if axis != left)
    rise = affine[1:3, up][np.abs(affine[1:3, up]).argmax()]
    order = np.zeros((4, 4))
    order[3, 3] = 1.0
    for new, (axis, sign) in enumerate(((left, -affine[0, left]), (up, rise), (thin, 1.0))):
        order[axis, new] = 1.0 if sign >= 0 else -1.0
        order[axis, 3] = 0.0 if sign >= 0 else shape[axis] - 1
    canonical = affine @ order
    spacing = np.linalg.norm(canonical[:3, :3], axis=0)
    extent = np.array([shape[left], shape[up]])
    pixel = float((extent * spacing[:2]).max()) / size
    scale = np.diag([pixel / spacing[0], pixel / spacing[1], 1.0, 1.0])
    scale[:2, 3] = (extent - 1) / 2 - (size - 1) / 2 * pixel / spacing[:2]
    return SliceGeometry(shape, affine, size, pixel, pixel, canonical @ scale, 1)


def fitting_pixel(extent_mm: float, pixel_mm: float, size: int) -> float:
    """The requested pixel, or the larger one with which `extent_mm` fits into `size` pixels."""
    return max(pixel_mm, extent_mm / size)


MAX_SLICES = 1000


MIN_SLICE_MM = 1.5
"""Axial planes are not put closer than this."""


def plan_axial(volume: Volume, body: Body, pixel_mm: float, size: int) -> SliceGeometry:
    """True axial planes, right to left and posterior to anterior, that cover the whole height of the volume.

    Args:
        volume: an oblique volume.
        body: where the body is.
        pixel_mm: requested edge of a pixel.
        size: H = W of the slices.
    """
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.array.shape], indexing="ij"), -1).reshape(-1, 3)
    heights = (corners @ volume.affine[:3, :3].T + volume.affine[:3, 3])[:, 2]
    cells = np.argwhere(body.mask) * body.factors + (np.asarray(body.factors) - 1) / 2
    points = cells @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    margin = 0.5 * (np.abs(volume.affine[:3, :3]) @ np.asarray(body.factors, dtype=np.float64))
    low, high = (points.min(axis=0) - margin)[:2], (points.max(axis=0) + margin)[:2]
    actual = fitting_pixel(float((high - low).max()), pixel_mm, size)
    distance = max(MIN_SLICE_MM, _plane_distance(volume.affine))
    distance = max(distance, float(np.ptp(heights)) / MAX_SLICES)
    count = max(1, int(np.ceil(np.ptp(heights) / distance - 1e-6)))
    grid = np.diag([-actual, actual, distance, 1.0])
    middle = (low + high) / 2
    grid[:3, 3] = (
        middle[0] + (size - 1) / 2 * actual,
        middle[1] - (size - 1) / 2 * actual,
        (heights.min() + heights.max()) / 2 - (count - 1) / 2 * distance,
    )
    return SliceGeometry(tuple(volume.array.shape), volume.affine, size, actual, pixel_mm, grid, count)


def _plane_distance(affine: np.ndarray) -> float:
    """mm between axial planes that skip nothing; those of stored slices that are axial, in a sheared stack."""
    rises = np.abs(affine[2, :3])
    axis = int(rises.argmax())
    if np.delete(rises, axis).max() < 1e-3:
        return float(rises[axis])
    return 1.0 / float(np.linalg.norm(np.linalg.inv(affine[:3, :3])[:, 2]))
