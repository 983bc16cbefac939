"""Largest diameters of an organ in mm, on any grid."""

from __future__ import annotations

import contextlib

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist


def largest_diameters(mask: np.ndarray, affine: np.ndarray) -> tuple[float, float]:
    """Measure the largest diameter within a slice across the patient's long axis, and in any direction, in mm.

    Measured between centres of voxels. "Slice" is a plane of the stored grid: the one nearest to axial.

    Args:
        mask: bool `(I, J, K)`.
        affine: `(4, 4)` voxel to RAS mm.

    Returns:
        0, 0 for an empty mask.
    """
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return 0.0, 0.0
    box = mask[boxes[0]]
    surface = box & ~ndimage.binary_erosion(box)
    index = np.argwhere(surface)
    points = index @ affine[:3, :3].T
    axis = int(np.abs(affine[2, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    planes = [points[index[:, axis] == k] for k in np.unique(index[:, axis])]
    widths = [_span(plane, _in_plane(affine, axis)) for plane in planes]
    return max(widths), _span(points, np.eye(3))


def _in_plane(affine: np.ndarray, axis: int) -> np.ndarray:
    """Return an orthonormal `(3, 2)` basis of a plane of the grid."""
    other = [a for a in range(3) if a != axis]
    basis: np.ndarray = np.linalg.qr(affine[:3, other])[0]
    return basis


def _span(points: np.ndarray, basis: np.ndarray) -> float:
    """Measure the largest distance of two points `(N, 3)`, that all lie in the space of the basis."""
    flat = points @ basis
    if len(flat) > flat.shape[1] + 1:
        with contextlib.suppress(QhullError):  # all points in a line or plane: then all of them are compared
            flat = flat[ConvexHull(flat).vertices]
    return float(pdist(flat).max()) if len(flat) > 1 else 0.0
