"""Where volume nodes lie in the patient: 4 x 4 matrices from voxel index (i, j, k) to RAS mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

PART_OF_VOXEL = 0.05
"""Voxels of two grids that lie closer than this part of the finest spacing are the same: readers differ in how they
round the header of a file (single precision, directions with few digits), and no two scans differ by so little."""


@dataclass(frozen=True)
class Placement:
    """How voxels of one grid are found on another one that has the same points, in whatever order.

    Attributes:
        axes: for I, J and K of the grid, the axis of the other one that runs along it.
        flipped: for I, J and K of the grid, whether the other one runs the opposite way.
        start: index on the grid of the first voxel after reordering.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    start: tuple[int, int, int]

    def reordered(self, array: numpy.ndarray) -> numpy.ndarray:
        """View a (K, J, I) array of the other grid in the order of the grid; no voxel is resampled."""
        turned = array.transpose([2 - self.axes[axis] for axis in (2, 1, 0)])
        return turned[tuple(slice(None, None, -1 if self.flipped[axis] else 1) for axis in (2, 1, 0))]


def ijk_to_ras(volume: Any) -> numpy.ndarray:
    """Read the (4, 4) matrix of a volume node, without its parent transforms."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return as_array(matrix)


def ijk_to_world(volume: Any) -> numpy.ndarray:
    """Read the (4, 4) matrix of a volume node under its linear parent transforms: as after hardening them."""
    return parent_to_world(volume) @ ijk_to_ras(volume)


def parent_to_world(node: Any) -> numpy.ndarray:
    """Read the (4, 4) matrix of a node's linear parent transforms; the identity where there are none."""
    import numpy as np
    import vtk

    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return as_array(matrix)


def seen_from(node: Any, other: Any) -> numpy.ndarray:
    """Find the (4, 4) matrix of a node's linear parent transforms, as seen from those of another node."""
    import numpy as np

    return np.asarray(np.linalg.inv(parent_to_world(other)) @ parent_to_world(node))


def as_array(matrix: Any) -> numpy.ndarray:
    """Convert a `vtkMatrix4x4` to a (4, 4) array."""
    import numpy as np

    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def as_matrix(array: numpy.ndarray) -> Any:
    """Convert a (4, 4) array to a `vtkMatrix4x4`."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(value) for row in array for value in row])
    return matrix


def orthogonal(affine: numpy.ndarray) -> bool:
    """Tell whether the axes of a grid stand at right angles: no gantry tilt, no shear."""
    import numpy as np

    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-3))


def right_handed(array: numpy.ndarray, affine: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Turn the slices of a left-handed (K, J, I) array round, as Slicer's own readers do; others stay as they are."""
    import numpy as np

    affine = np.asarray(affine, dtype=float)
    if np.linalg.det(affine[:3, :3]) > 0:
        return array, affine
    turned = affine.copy()
    turned[:3, 2] = -affine[:3, 2]
    turned[:3, 3] += affine[:3, 2] * (array.shape[0] - 1)
    return array[::-1], turned


def placement(
    affine: numpy.ndarray, other: numpy.ndarray, first: tuple[int, int, int], last: tuple[int, int, int]
) -> Placement | None:
    """Find voxels of another grid on a grid, whatever the order and direction of the axes of both.

    Args:
        affine: (4, 4) of the grid.
        other: (4, 4) of the other one.
        first: index (i, j, k) on the other one of the first voxel that there is.
        last: and of the last one.

    Returns:
        None where the voxels of the two do not lie on one another.
    """
    import numpy as np

    affine, other = np.asarray(affine, dtype=float), np.asarray(other, dtype=float)
    exact = np.linalg.solve(affine, other)
    whole = np.round(exact)
    turn = np.abs(whole[:3, :3])
    if not ((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all()):
        return None
    ends = np.array([first, last], dtype=float)
    corners = np.array([[ends[a, 0], ends[b, 1], ends[c, 2], 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    apart = np.linalg.norm((corners @ (other - affine @ whole).T)[:, :3], axis=1)
    if not apart.max() < PART_OF_VOXEL * np.linalg.norm(affine[:3, :3], axis=0).min():
        return None
    start = (corners @ whole.T)[:, :3].min(axis=0)
    axes = [int(np.argmax(turn[axis])) for axis in range(3)]
    flipped = [bool(whole[axis, axes[axis]] < 0) for axis in range(3)]
    return Placement(
        (axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]), (int(start[0]), int(start[1]), int(start[2]))
    )


def same_points(
    affine: numpy.ndarray, shape: tuple[int, ...], other: numpy.ndarray, other_shape: tuple[int, ...]
) -> Placement | None:
    """Find how another grid of (I, J, K) voxels fills the same points in space; None if it does not."""
    i, j, k = other_shape
    found = placement(affine, other, (0, 0, 0), (i - 1, j - 1, k - 1))
    if found is None or found.start != (0, 0, 0) or tuple(other_shape[axis] for axis in found.axes) != tuple(shape):
        return None
    return found


def slice_positions(
    affine: numpy.ndarray, shape: tuple[int, ...], axis: tuple[float, float, float]
) -> tuple[float, float]:
    """Find the lowest and highest slice centre of a grid, in mm along a direction.

    The slices are those along the voxel axis that lies closest to the direction.
    """
    import numpy as np

    direction = np.asarray(axis) / np.linalg.norm(axis)
    along = _voxel_axis(affine, axis)
    index = (np.array(shape) - 1) / 2
    ends = []
    for end in (0, shape[along] - 1):
        index[along] = end
        ends.append(float(direction @ (affine[:3, :3] @ index + affine[:3, 3])))
    return min(ends), max(ends)


def slice_spacing(affine: numpy.ndarray, axis: tuple[float, float, float]) -> float:
    """Measure how far slices are apart, in mm; they are those of `slice_positions`."""
    import numpy as np

    return float(np.linalg.norm(affine[:3, _voxel_axis(affine, axis)]))


def _voxel_axis(affine: numpy.ndarray, axis: tuple[float, float, float]) -> int:
    """Find the voxel axis that lies closest to a direction."""
    import numpy as np

    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return int(np.argmax(np.abs(np.asarray(axis) @ unit)))
