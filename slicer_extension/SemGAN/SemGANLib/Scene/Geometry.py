"""Where volume nodes lie in the patient: 4 x 4 matrices from voxel index (i, j, k) to RAS mm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

PLACE_MM = 1e-3
"""Grids whose corners lie closer than this are the same."""


def ijk_to_ras(volume: Any) -> numpy.ndarray:
    """Read the (4, 4) matrix of a volume node, without its parent transforms."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return as_array(matrix)


def ijk_to_world(volume: Any) -> numpy.ndarray:
    """Read the (4, 4) matrix of a volume node under its linear parent transforms: as after hardening them."""
    import vtk

    transform = volume.GetParentTransformNode()
    if transform is None:
        return ijk_to_ras(volume)
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return as_array(matrix) @ ijk_to_ras(volume)


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


def same_grid(
    affine: numpy.ndarray, shape: tuple[int, ...], other: numpy.ndarray, other_shape: tuple[int, ...]
) -> bool:
    """Tell whether two grids of (I, J, K) voxels have the same corners."""
    import numpy as np

    if tuple(shape) != tuple(other_shape):
        return False
    last = np.array(shape) - 1
    corners = np.array([[*(last * [a, b, c]), 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    apart = np.linalg.norm(corners @ (np.asarray(affine) - np.asarray(other)).T, axis=1)
    return bool(apart.max() < PLACE_MM)


def slice_positions(
    affine: numpy.ndarray, shape: tuple[int, ...], axis: tuple[float, float, float]
) -> tuple[float, float]:
    """Find the lowest and highest slice centre of a grid, in mm along a direction.

    The slices are those along the voxel axis that lies closest to the direction.
    """
    import numpy as np

    direction = np.asarray(axis) / np.linalg.norm(axis)
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = int(np.argmax(np.abs(direction @ unit)))
    index = (np.array(shape) - 1) / 2
    ends = []
    for end in (0, shape[along] - 1):
        index[along] = end
        ends.append(float(direction @ (affine[:3, :3] @ index + affine[:3, 3])))
    return min(ends), max(ends)
