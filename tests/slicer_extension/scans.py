"""Volume nodes of the phantom on grids of all kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
from SemGANLib.Scene.Geometry import as_matrix

from tests.phantoms import points_of, rotation, values_at

GRIDS = {
    "axial": (np.diag([-8.0, -8.0, 12.0]), (0.0, 0.0, 0.0)),
    "oblique": (np.diag([-8.0, -8.0, 12.0]), (12.0, -7.0, 20.0)),
    "anisotropic": (np.diag([-4.0, -10.0, 15.0]), (0.0, 5.0, 0.0)),
    "flipped": (np.diag([8.0, -8.0, -12.0]), (3.0, 0.0, 0.0)),
    "sagittal": (np.array([[0, 0, 12.0], [-8, 0, 0], [0, -8, 0]]), (0.0, 4.0, 0.0)),
    "RAS": (np.diag([8.0, 8.0, 12.0]), (0.0, 0.0, 0.0)),
    "SPR": (np.array([[0, 0, 12.0], [0, -8, 0], [8, 0, 0]]), (0.0, 0.0, 0.0)),
    "LAS": (np.diag([-8.0, 8.0, 12.0]), (0.0, 0.0, 0.0)),
    "PSR": (np.array([[0, 0, 12.0], [-8, 0, 0], [0, 8, 0]]), (0.0, 0.0, 0.0)),
    "oblique left-handed": (np.diag([-4.0, 10.0, 15.0]), (12.0, -7.0, 20.0)),
}
"""Directions of the axes in mm, and how they are turned."""

LEFT_HANDED = ("LAS", "PSR", "oblique left-handed")
"""Of these Slicer's readers turn the slices round."""


def affine_of(kind: str, shape: tuple[int, int, int] = (40, 28, 16)) -> np.ndarray:
    """Make the (4, 4) matrix of a grid whose middle is that of the phantom."""
    from tests.phantoms import CENTRE

    axes, degrees = GRIDS[kind]
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ axes
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def add_scan(scene: Any, kind: str = "axial", name: str = "CT", shape: tuple[int, int, int] = (40, 28, 16)) -> Any:
    """Add a volume node with the phantom.

    Args:
        shape: voxels along I, J and K.
    """
    affine = affine_of(kind, shape)
    array = values_at(points_of(affine, shape)).astype(np.int16)
    return add_volume(scene, array.transpose(), affine, name)


def add_volume(scene: Any, array: np.ndarray, affine: np.ndarray, name: str = "CT") -> Any:
    """Add a volume node of a (K, J, I) array."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(as_matrix(affine))
    return node
