"""The segments of a result as structures that can be corrected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..Protocols.CorrectionProtocol import StructureChoice
from ..Scene import SegmentationUpdate
from ..Scene.SegmentationExport import entries
from ..Scene.SegmentationImport import segment_ids
from ..Types.ResultTypes import Result


def listed(node: Any, result: Result) -> list[StructureChoice]:
    """List the segments of a segmentation node.

    Args:
        result: which the node shows.
    """
    known = {label.name: label.id for label in result.labels}
    ours = SegmentationUpdate.structures(node, known)
    return [
        StructureChoice(segment, entry.name, entry.colour, SegmentationUpdate.locked(node, segment), segment in ours)
        for segment, entry in zip(segment_ids(node), entries(node, known))
    ]


def locked(node: Any, values: Mapping[str, int]) -> tuple[str, ...]:
    """Name the structures whose segments are locked.

    Args:
        values: numbers of the model's structures, by name.
    """
    ours = SegmentationUpdate.structures(node, values)
    closed = {value for segment, value in ours.items() if SegmentationUpdate.locked(node, segment)}
    return tuple(name for name, value in values.items() if value in closed)


def name(node: Any, segment: str) -> str:
    """Tell the name of a segment; its id where there is no such segment."""
    found = node.GetSegmentation().GetSegment(segment)
    return str(found.GetName()) if found is not None else segment
