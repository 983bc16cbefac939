"""Volume nodes as arrays that can be sent: what is refused, and a snapshot that later edits do not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..Server.Nrrd import TYPES, Grid, encode
from ..Translation import tr as _
from . import Geometry

if TYPE_CHECKING:
    import numpy

FEWEST_SLICES = 3


def problem(volume: Any) -> str:
    """Say why a node cannot be segmented and what to do; empty if it can."""
    if volume is None:
        return _("Choose a volume first.")
    name = volume.GetName()
    if volume.IsA("vtkMRMLSequenceNode") or _shows_sequence(volume):
        return _(
            "“{name}” belongs to a sequence. Clone the volume at the time of interest (Data module, right click,"
            " Clone) and choose the copy."
        ).format(name=name)
    if not volume.IsA("vtkMRMLScalarVolumeNode") or volume.IsA("vtkMRMLLabelMapVolumeNode"):
        return _("“{name}” is not a scan. Choose a scalar volume.").format(name=name)
    return _image_problem(name, volume) or _place_problem(name, volume)


def _image_problem(name: str, volume: Any) -> str:
    image = volume.GetImageData()
    if image is None or image.GetPointData() is None or image.GetPointData().GetScalars() is None:
        return _("“{name}” has no voxels. Load it again.").format(name=name)
    if image.GetNumberOfScalarComponents() != 1:
        return _(
            "“{name}” has {count} values in every voxel, such as colour or directions. Choose a volume with one"
            " (module Vector to Scalar Volume makes it)."
        ).format(name=name, count=image.GetNumberOfScalarComponents())
    if min(image.GetDimensions()) < FEWEST_SLICES:
        return _("“{name}” has {slices} slices; at least {least} are needed. Load the whole series.").format(
            name=name, slices=min(image.GetDimensions()), least=FEWEST_SLICES
        )
    return ""


def _place_problem(name: str, volume: Any) -> str:
    transform = volume.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        return _(
            "“{name}” lies under a transform that bends it. Harden the transform on a copy (Transforms module) and"
            " choose the copy."
        ).format(name=name)
    if not Geometry.orthogonal(Geometry.ijk_to_world(volume)):
        return _(
            "The axes of “{name}” are not at right angles (gantry tilt or shear). Resample it first (module Resample"
            " Scalar Volume or Crop Volume) and choose the new volume."
        ).format(name=name)
    return ""


def _shows_sequence(volume: Any) -> bool:
    scene = volume.GetScene()
    if scene is None:
        return False
    browsers = scene.GetNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers.UnRegister(None)
    return any(browsers.GetItemAsObject(n).IsProxyNodeID(volume.GetID()) for n in range(browsers.GetNumberOfItems()))


def shape_of(volume: Any) -> tuple[int, int, int]:
    """Count the voxels along I, J and K."""
    i, j, k = volume.GetImageData().GetDimensions()
    return i, j, k


def voxels(volume: Any) -> numpy.ndarray:
    """View the voxels of a volume node as a (K, J, I) array that shares its memory."""
    from vtk.util.numpy_support import vtk_to_numpy

    image = volume.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def snapshot(volume: Any) -> Grid:
    """Copy the voxels and their place, parent transforms hardened; the node itself is not touched."""
    return Grid(voxels(volume).copy(), Geometry.ijk_to_world(volume))


def file_of(grid: Grid, compressed: bool) -> bytes:
    """Encode what is sent: NRRD with voxels and geometry, no name, no header of the scanner.

    Takes seconds; not for the main thread.

    Args:
        grid: what is sent.
        compressed: for a network; not worth it within one computer.
    """
    return encode(Grid(_sendable(grid.array), grid.affine), compressed)


def _sendable(array: numpy.ndarray) -> numpy.ndarray:
    """Convert to a type of NRRD, without loss of more than the last digits of double precision."""
    import numpy as np

    if array.dtype.kind in "iub" and array.dtype.name not in TYPES:
        low, high = int(array.min()), int(array.max())
        fits = np.iinfo(np.int32).min <= low and high <= np.iinfo(np.int32).max
        return array.astype(np.int32 if fits else np.float32)
    return array.astype(np.float32) if array.dtype == np.float64 else array
