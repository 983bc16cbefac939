"""Where structures of a result lie: going there, and opening them in the Segment Editor."""

from __future__ import annotations

from typing import Any

from .Records import record_of
from .SegmentationImport import segment_ids
from .SliceViews import centre


def segment_named(node: Any, organ: str) -> str:
    """Find the id of the segment with a name; empty if there is none."""
    segmentation = node.GetSegmentation()
    return next((name for name in segment_ids(node) if segmentation.GetSegment(name).GetName() == organ), "")


def place_of(node: Any, organ: str) -> tuple[float, float, float] | None:
    """Find a place (RAS mm) in the middle of a structure that lies in it; None where it has no voxels."""
    identifier = segment_named(node, organ)
    found = node.GetSegmentCenterRAS(identifier) if identifier else None
    return (float(found[0]), float(found[1]), float(found[2])) if found is not None else None


def jump_to(volume: Any, organ: str) -> bool:
    """Show the middle of a structure of the newest result in all slice views.

    Returns:
        False where there is none.
    """
    record = record_of(volume)
    node = record.segmentation if record is not None else None
    place = place_of(node, organ) if node is not None else None
    if place is None:
        return False
    centre(volume.GetScene(), place)
    return True


def open_editor(volume: Any) -> bool:
    """Open the newest result of a volume in the Segment Editor, with the volume to draw on.

    Returns:
        False where there is none.
    """
    import slicer

    record = record_of(volume)
    node = record.segmentation if record is not None else None
    if node is None:
        return False
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(node)
    editor.setSourceVolumeNode(volume)
    return True
