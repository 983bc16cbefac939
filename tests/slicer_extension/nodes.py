"""Nodes of the tests' scenes: segmentations of the phantom, transforms, painting as the Segment Editor does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from SemGANLib.Scene import Geometry, SegmentationExport, SegmentationImport, VolumeExport
from SemGANLib.Server.Parsing import parse
from SemGANLib.Types.ModelTypes import Label

from tests.phantoms import labels_at, points_of
from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.server_answers import LABELS, segment
from tests.slicer_extension.session import Session

ORGANS = tuple(parse(Label, entry) for entry in LABELS)


def label_of(volume: Any) -> np.ndarray:
    """Make the phantom's label map on the grid of a volume, without the left kidney."""
    shape = VolumeExport.shape_of(volume)
    label = labels_at(points_of(Geometry.ijk_to_ras(volume), shape)).transpose()
    return np.ascontiguousarray(np.where(label == 3, 0, label)).astype(np.uint8)


def imported(volume: Any, array: np.ndarray | None = None) -> tuple[Any, SegmentationImport.Mark]:
    """Add a segmentation node of the phantom."""
    node = SegmentationImport.new_segmentation(volume, "organs")
    return node, SegmentationImport.fill(node, volume, label_of(volume) if array is None else array, ORGANS)


def world_of(volume: Any) -> np.ndarray:
    """Read the (4, 4) matrix after Slicer itself has hardened the transforms of a copy."""
    import slicer

    scene = volume.GetScene()
    copy = scene.CopyNode(volume)
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    assert copy.HardenTransform()
    affine = Geometry.ijk_to_ras(copy)
    scene.RemoveNode(copy)
    assert slicer.mrmlScene is scene
    return affine


def add_transform(scene: Any, matrix: np.ndarray) -> Any:
    """Add a linear transform node."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(Geometry.as_matrix(matrix))
    return node


def load(scene: Any, path: Path) -> Any:
    """Load a volume node by Slicer's own reader."""
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "loaded")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def paint(node: Any, volume: Any, name: str, array: np.ndarray) -> None:
    """Change a segment as the Segment Editor does."""
    import slicer
    from SemGANLib.Scene.SegmentationImport import oriented_image

    image = oriented_image(array.astype(np.uint8), Geometry.ijk_to_ras(volume))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, name, logic.MODE_REPLACE, image.GetExtent())


def merged(session: Session, volume: Any, node: Any = None) -> np.ndarray:
    """Merge the label map of the newest result, or of a node."""
    node = node or volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    return SegmentationExport.snapshot(node, volume).merged()


def merged_of(node: Any, volume: Any) -> np.ndarray:
    """Merge the label map of a segmentation node."""
    return SegmentationExport.snapshot(node, volume).merged()


def expected(volume: Any) -> np.ndarray:
    """Compute what the server finds."""
    return segment(VolumeExport.voxels(volume))


def previewed(scene: Any, server: FakeServer) -> tuple[Session, Any]:
    """Make a session with a volume that has a result."""
    session = Session(scene)
    session.connect(server.address)
    volume = add_scan(scene)
    session.preview(volume)
    return session, volume
