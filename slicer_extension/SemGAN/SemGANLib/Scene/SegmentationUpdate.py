"""Newer voxels for a segmentation that the user works on: what he or she has painted meanwhile stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import Geometry
from .SegmentationExport import entries, snapshot
from .SegmentationImport import BINARY, SURFACE, oriented_image, segment_ids, show_surfaces
from .Strokes import as_label

if TYPE_CHECKING:
    import numpy

LOCK_TAG = "SemGAN.Locked"
"""Tag of a segment that no correction changes."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """The structures of a segmentation as they are now, on the grid of the scan.

    Attributes:
        layers: (K, J, I) label maps; a voxel may be in several.
        resampled: the segments have another grid.
    """

    layers: list[numpy.ndarray]
    resampled: bool


def structures(node: Any, known: Mapping[str, int]) -> dict[str, int]:
    """Find the numbers of the segments that are structures of the model, by id.

    Args:
        known: numbers by the name of the structure. A segment that the user has renamed is one of the user's own.
    """
    found = zip(segment_ids(node), entries(node, known))
    return {segment: entry.value for segment, entry in found if entry.value in known.values()}


def drawn(node: Any, volume: Any, known: Mapping[str, int]) -> Drawn:
    """Copy the structures of a segmentation; the user's own segments are left out.

    Args:
        known: as of `structures`.
    """
    pieces = snapshot(node, volume, known)
    return Drawn(pieces.layers(set(known.values())), pieces.resampled)


def update(
    node: Any,
    volume: Any,
    before: numpy.ndarray,
    after: numpy.ndarray,
    known: Mapping[str, int],
    surfaces: bool = True,
) -> bool:
    """Change the voxels in which two states differ, but for those that the user has painted since the first.

    Names, colours and the user's own segments stay. Segments that have another grid than the scan keep it until a
    voxel of them changes. Where structures overlap, that stays which was painted last: a label has one of them.

    Args:
        before: (K, J, I) label map of the state that the segmentation showed.
        after: (K, J, I) label map of the state that it is to show.
        known: as of `structures`.
        surfaces: whether surfaces are made anew, where there are some.

    Returns:
        Whether anything has changed.
    """
    import numpy as np

    now = drawn(node, volume, known)
    label = as_label(now.layers, before)  # a copy: it may be changed
    flat, was, becomes = (array.reshape(-1) for array in (label, before, after))
    changed = np.flatnonzero(was != becomes)
    changed = changed[flat[changed] == was[changed]]
    touched = {*np.unique(was[changed]).tolist(), *np.unique(becomes[changed]).tolist()} | _overlapping(now.layers)
    if not touched:
        return False
    flat[changed] = becomes[changed]
    image = oriented_image(label, _place(node, volume))
    modified = node.StartModify()
    for name, value in structures(node, known).items():
        if not now.resampled or value in touched:
            segment = node.GetSegmentation().GetSegment(name)
            segment.SetLabelValue(value)
            segment.AddRepresentation(BINARY, image)
    if surfaces and node.GetSegmentation().ContainsRepresentation(SURFACE):
        show_surfaces(node, False)
        show_surfaces(node, True)
    node.EndModify(modified)
    return True


def _overlapping(layers: list[numpy.ndarray]) -> set[int]:
    """Find the structures that share voxels with another one."""
    import numpy as np

    if len(layers) < 2:
        return set()
    shared = np.sum([layer != 0 for layer in layers], axis=0, dtype=np.uint8) > 1
    return {int(value) for layer in layers for value in np.unique(layer[shared])} - {0}


def locked(node: Any, segment: str) -> bool:
    """Tell whether a segment is locked."""
    found = node.GetSegmentation().GetSegment(segment)
    return found is not None and bool(found.HasTag(LOCK_TAG))


def lock(node: Any, segment: str, wanted: bool) -> None:
    """Lock a segment, or open it again; it is saved with the scene."""
    found = node.GetSegmentation().GetSegment(segment)
    if found is not None and wanted:
        found.SetTag(LOCK_TAG, "1")
    elif found is not None:
        found.RemoveTag(LOCK_TAG)


def _place(node: Any, volume: Any) -> numpy.ndarray:
    """Find the (4, 4) matrix of the scan's voxels under the transforms of a segmentation."""
    import numpy as np

    return np.asarray(np.linalg.inv(Geometry.parent_to_world(node)) @ Geometry.ijk_to_world(volume))
