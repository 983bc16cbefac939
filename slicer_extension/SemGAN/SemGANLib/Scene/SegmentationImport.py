"""Label maps as segmentation nodes: one segment per structure, all sharing the voxels, on the grid of the scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..Types.ModelTypes import Label
from . import Geometry
from .Hierarchy import place_beside
from .Terminology import terminology_entry

if TYPE_CHECKING:
    import numpy

BINARY = "Binary labelmap"
SURFACE = "Closed surface"
LABEL_TAG = "SemGAN.Label"
"""Tag of a segment: the number that stands for it in the model's label maps."""


@dataclass(frozen=True)
class Mark:
    """How a segmentation was at some moment, to notice edits later.

    Attributes:
        segments: ids then.
        images: the labelmap of each, kept alive so that their identity means something.
        times: when each was last modified then.
    """

    segments: tuple[str, ...]
    images: tuple[Any, ...]
    times: tuple[int, ...]

    @classmethod
    def of(cls, node: Any) -> Mark:
        """Note how a segmentation is now."""
        segments = segment_ids(node)
        images = tuple(node.GetSegmentation().GetSegment(name).GetRepresentation(BINARY) for name in segments)
        return cls(segments, images, tuple(image.GetMTime() if image is not None else 0 for image in images))

    def untouched(self, node: Any) -> bool:
        """Tell whether nobody has added, removed or painted segments since."""
        now = Mark.of(node)
        same = all(one is other for one, other in zip(self.images, now.images))
        return same and self.segments == now.segments and self.times == now.times


def new_segmentation(volume: Any, name: str) -> Any:
    """Add an empty segmentation node that belongs to a volume: its geometry, transform and place in the hierarchy."""
    node = volume.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    _attach(node, volume)
    return node


def fill(node: Any, volume: Any, array: numpy.ndarray, labels: tuple[Label, ...]) -> Mark:
    """Make the segments of a node those of a label map; all that it had before go.

    Structures without voxels become empty segments, so that they can be drawn.

    Args:
        array: (K, J, I) on the volume's grid; unsigned bytes. Not copied: it must stay as it is.
    """
    image = oriented_image(array, Geometry.ijk_to_ras(volume))
    segmentation = node.GetSegmentation()
    modified = node.StartModify()
    segmentation.RemoveAllSegments()
    segmentation.SetSourceRepresentationName(BINARY)
    _attach(node, volume)
    for label in labels:
        segmentation.AddSegment(_segment(label, image), label.name)
    node.EndModify(modified)
    return Mark.of(node)


def refresh(node: Any, volume: Any, array: numpy.ndarray, mark: Mark) -> Mark:
    """Give the segments of an import newer voxels and keep all else that the user may have set: names, colours.

    Surfaces are made anew where there are some.
    """
    image = oriented_image(array, Geometry.ijk_to_ras(volume))
    segmentation = node.GetSegmentation()
    surfaces = segmentation.ContainsRepresentation(SURFACE)
    modified = node.StartModify()
    for name in mark.segments:
        segmentation.GetSegment(name).AddRepresentation(BINARY, image)
    if surfaces:
        show_surfaces(node, False)
        show_surfaces(node, True)
    node.EndModify(modified)
    return Mark.of(node)


def show_surfaces(node: Any, visible: bool) -> None:
    """Make surfaces of all segments and show them, or remove them."""
    if visible:
        node.CreateClosedSurfaceRepresentation()
    else:
        node.RemoveClosedSurfaceRepresentation()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetVisibility3D(visible)


def segment_ids(node: Any) -> tuple[str, ...]:
    """List the ids of the segments in order."""
    segmentation = node.GetSegmentation()
    return tuple(segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments()))


def oriented_image(array: numpy.ndarray, affine: numpy.ndarray) -> Any:
    """Make `vtkOrientedImageData` that shares the memory of a (K, J, I) array."""
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*array.shape[::-1])
    scalars = numpy_to_vtk(array.reshape(-1), deep=False)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    image.SetImageToWorldMatrix(Geometry.as_matrix(affine))
    return image


def _attach(node: Any, volume: Any) -> None:
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    place_beside(node, volume)


def _segment(label: Label, image: Any) -> Any:
    import slicer

    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetColor(*(part / 255 for part in label.colour))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(label))
    segment.SetTag(LABEL_TAG, str(label.id))
    segment.SetLabelValue(label.id)
    segment.AddRepresentation(BINARY, image)
    return segment
