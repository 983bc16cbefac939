"""Reconstruction, residual and uncertainty as scalar volumes beside the scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..Translation import tr as _
from . import Geometry
from .Hierarchy import place_beside

if TYPE_CHECKING:
    import numpy

COLOURS = {
    "reconstruction": ("vtkMRMLColorTableNodeGrey",),
    "residual": ("vtkMRMLColorTableNodeFileMagma.txt", "vtkMRMLColorTableNodeIron"),
    "uncertainty": ("vtkMRMLColorTableNodeFileViridis.txt", "vtkMRMLColorTableNodeOcean"),
}
"""Colour nodes by map, the first that the scene has: evenly rising in brightness, so that more looks like more."""

SHOWN_FROM = 0.05
"""Part of the window below which residual and uncertainty are transparent when laid over the scan."""

LARGEST_PART = 99.5
"""Percentile of a residual that the top colour stands for: a few voxels at the skin must not set the scale."""


@dataclass(frozen=True)
class MapData:
    """A map, prepared off the main thread.

    Attributes:
        array: (K, J, I), owns its memory.
        window: lowest and highest value shown; None for those of the scan.
        extremes: lowest and highest value.
    """

    array: numpy.ndarray
    window: tuple[float, float] | None
    extremes: tuple[float, float]


def prepare(part: str, array: numpy.ndarray) -> MapData:
    """Choose what is shown of a map. Takes a second for large ones; not for the main thread."""
    import numpy as np

    array = np.require(array, requirements=["C", "W"])
    extremes = float(array.min()), float(array.max())
    if part == "reconstruction":
        return MapData(array, None, extremes)
    if part == "uncertainty":
        return MapData(array, (0.0, 1.0), extremes)
    positive = array[array > 0]
    top = float(np.percentile(positive, LARGEST_PART)) if positive.size else 1.0
    return MapData(array, (0.0, top), extremes)


def name_of(part: str, volume: Any) -> str:
    """Name the node of a map."""
    words = {"reconstruction": _("reconstruction"), "residual": _("residual"), "uncertainty": _("uncertainty")}
    return f"{volume.GetName()} {words[part]}"


def put(part: str, data: MapData, volume: Any, node: Any = None) -> Any:
    """Put a map into the scene as a scalar volume node.

    Args:
        volume: the scan; the map lies on its grid and under its transform.
        node: the node of an earlier map of the same kind, to be replaced.
    """
    scene = volume.GetScene()
    fresh = node is None
    if fresh:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name_of(part, volume))
    modified = node.StartModify()
    node.SetIJKToRASMatrix(Geometry.as_matrix(Geometry.ijk_to_ras(volume)))
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetAndObserveImageData(image_data(data.array))
    if fresh or node.GetDisplayNode() is None:
        _display(part, data, volume, node)
    node.EndModify(modified)
    place_beside(node, volume)
    return node


def image_data(array: numpy.ndarray) -> Any:
    """Make `vtkImageData` that shares the memory of a (K, J, I) array."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    scalars = numpy_to_vtk(array.reshape(-1), deep=False)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def _display(part: str, data: MapData, volume: Any, node: Any) -> None:
    scene = volume.GetScene()
    display = scene.CreateNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.UnRegister(None)
    display.SetAutoWindowLevel(False)  # it would go through all voxels
    window = data.window
    if window is None:
        _copy_window(volume, display, data)
    else:
        display.SetWindowLevelMinMax(*window)
        low, high = window
        display.SetApplyThreshold(True)
        display.SetThreshold(low + SHOWN_FROM * (high - low), max(high, data.extremes[1]))
    colour = next((name for name in COLOURS[part] if scene.GetNodeByID(name)), COLOURS[part][-1])
    display.SetAndObserveColorNodeID(colour)
    scene.AddNode(display)
    node.SetAndObserveDisplayNodeID(display.GetID())


def _copy_window(volume: Any, display: Any, data: MapData) -> None:
    source = volume.GetDisplayNode()
    if source is not None:
        display.SetWindowLevelMinMax(source.GetWindowLevelMin(), source.GetWindowLevelMax())
    else:
        display.SetWindowLevelMinMax(*data.extremes)
