"""Segmentation nodes as one label map on the grid of the scan."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import Geometry
from .SegmentationImport import BINARY, LABEL_TAG, segment_ids
from .VolumeExport import shape_of

if TYPE_CHECKING:
    import numpy

LARGEST_VALUE = 255


@dataclass(frozen=True)
class SegmentEntry:
    """A segment in a label map.

    Attributes:
        value: number that stands for it: that of the model, or a free one for a segment of the user's own.
        came_as: number of the structure that it was when it came from the server; None for one that the user added.
    """

    value: int
    name: str
    colour: tuple[int, int, int]
    came_as: int | None = None


@dataclass(frozen=True)
class Piece:
    """Voxels of a segment.

    Attributes:
        array: (K, J, I) label map that other segments may share.
        label: the number that means this segment there.
        start: index (i, j, k) in the scan of the array's first voxel.
    """

    array: numpy.ndarray
    label: int
    start: tuple[int, int, int]


@dataclass(frozen=True)
class LabelSnapshot:
    """Segments as they were at a moment, on the grid of the scan; what is edited later does not reach it.

    Attributes:
        shape: (K, J, I) of the scan.
        resampled: they were drawn on another grid.
    """

    shape: tuple[int, int, int]
    entries: tuple[SegmentEntry, ...]
    pieces: tuple[Piece, ...] = field(repr=False)
    resampled: bool = False

    def merged(self) -> numpy.ndarray:
        """Merge all into a (K, J, I) label map, the later of two that overlap on top; not for the main thread."""
        import numpy as np

        merged = np.zeros(self.shape, dtype=np.uint8)
        for entry, piece in zip(self.entries, self.pieces):
            here, there = _overlap(self.shape, piece)
            merged[here][piece.array[there] == piece.label] = entry.value
        return merged

    def layers(self, values: Collection[int]) -> list[numpy.ndarray]:
        """Sort segments into (K, J, I) label maps without overlaps: those that share their voxels are in one.

        Args:
            values: numbers of the segments that count.
        """
        shared: dict[int, list[tuple[SegmentEntry, Piece]]] = {}
        for entry, piece in zip(self.entries, self.pieces):
            if entry.value in values:
                shared.setdefault(id(piece.array), []).append((entry, piece))
        return [self._layer(group) for group in shared.values()]

    def _layer(self, group: list[tuple[SegmentEntry, Piece]]) -> numpy.ndarray:
        import numpy as np

        first = group[0][1]
        here, there = _overlap(self.shape, first)
        inside = first.array[there]
        table = np.zeros(int(inside.max(initial=0)) + 1, dtype=np.uint8)
        for entry, piece in group:
            if piece.label < len(table):
                table[piece.label] = entry.value
        if inside.shape == self.shape:
            return table[inside]
        layer = np.zeros(self.shape, dtype=np.uint8)
        layer[here] = table[inside]
        return layer


def snapshot(node: Any, volume: Any, known: Mapping[str, int] | None = None) -> LabelSnapshot:
    """Copy all segments of a node on the grid of a volume.

    Args:
        known: see `entries`.

    Raises:
        ValueError: if there are more segments than a label map holds; the text says what to do.
    """
    pieces = _pieces_on_grid(node, volume)
    resampled = pieces is None  # drawn on another grid, or under another transform
    if pieces is None:
        pieces = _pieces_resampled(node, volume)
    i, j, k = shape_of(volume)
    return LabelSnapshot((k, j, i), entries(node, known), pieces, resampled)


def entries(node: Any, known: Mapping[str, int] | None = None) -> tuple[SegmentEntry, ...]:
    """List the segments and the numbers that stand for them.

    Args:
        known: numbers by the name of the structure. A segment has the number of its name; one of another name, such
            as an organ's that was renamed, has none of them. None: numbers are those that segments came with.

    Raises:
        ValueError: as `snapshot`.
    """
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetSegment(name) for name in segment_ids(node)]
    came = [_own_value(segment) for segment in segments]
    wanted = came if known is None else _named([segment.GetName() for segment in segments], came, known)
    return tuple(
        SegmentEntry(value, segment.GetName(), _colour(segment), own)
        for value, segment, own in zip(_values(wanted, known or {}), segments, came)
    )


def fingerprint(array: numpy.ndarray, affine: numpy.ndarray) -> str:
    """Hash a label map, to notice edits across sessions. Not for the main thread.

    Args:
        affine: (4, 4) of the scan in the world. When a saved scan is loaded, Slicer turns left-handed slices round; the
            hash stays.
    """
    import numpy as np

    ordered, _affine = Geometry.right_handed(array, affine)
    return hashlib.blake2b(np.ascontiguousarray(ordered), digest_size=16).hexdigest()


def _pieces_on_grid(node: Any, volume: Any) -> tuple[Piece, ...] | None:
    """Copy the segments voxel for voxel; None where one of them has voxels that are not those of the scan."""
    transform = node.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        return None
    outer, wanted = Geometry.parent_to_world(node), Geometry.ijk_to_world(volume)
    copies: list[tuple[Any, numpy.ndarray, tuple[int, int, int]]] = []
    pieces = []
    for name in segment_ids(node):
        segment = node.GetSegmentation().GetSegment(name)
        image = segment.GetRepresentation(BINARY)
        if image is None:
            return None
        copied = next((copy for copy in copies if copy[0] is image), None)
        if copied is None:
            placed = _copied(image, outer, wanted)
            if placed is None:
                return None
            copied = (image, *placed)
            copies.append(copied)
        pieces.append(Piece(copied[1], segment.GetLabelValue(), copied[2]))
    return tuple(pieces)


def _copied(
    image: Any, outer: numpy.ndarray, wanted: numpy.ndarray
) -> tuple[numpy.ndarray, tuple[int, int, int]] | None:
    """Copy a labelmap in the order of the scan's voxels: (K, J, I) array, and index (i, j, k) of its first voxel.

    Args:
        outer: (4, 4) of the transforms that the labelmap lies under.
        wanted: (4, 4) of the scan in the world.
    """
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    low_i, high_i, low_j, high_j, low_k, high_k = image.GetExtent()
    shape = (high_k - low_k + 1, high_j - low_j + 1, high_i - low_i + 1)
    scalars = image.GetPointData().GetScalars() if image.GetPointData() else None
    if scalars is None or min(shape) < 1:  # nothing was ever drawn
        return _nothing(), (0, 0, 0)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    place = Geometry.placement(
        wanted, outer @ Geometry.as_array(matrix), (low_i, low_j, low_k), (high_i, high_j, high_k)
    )
    if place is None:
        return None
    return place.reordered(vtk_to_numpy(scalars).reshape(shape).copy()), place.start


def _pieces_resampled(node: Any, volume: Any) -> tuple[Piece, ...]:
    """Export the segments by Slicer's own code, which resamples to the nearest voxel."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    target = node.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "SemGAN export")
    pieces = []
    try:
        for name in segment_ids(node):
            chosen = vtk.vtkStringArray()
            chosen.InsertNextValue(name)
            slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
                node, chosen, target, volume, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
            )
            image = target.GetImageData()
            array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
            pieces.append(Piece((array > 0).astype("uint8"), 1, (0, 0, 0)))
    finally:
        node.GetScene().RemoveNode(target)
    return tuple(pieces)


def _nothing() -> numpy.ndarray:
    import numpy as np

    return np.zeros((1, 1, 1), dtype=np.uint8)


def _overlap(shape: tuple[int, int, int], piece: Piece) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Find where a piece lies in the scan, and that part of the piece."""
    here, there = [], []
    for size, length, start in zip(shape, piece.array.shape, piece.start[::-1]):
        low, high = max(start, 0), min(start + length, size)
        here.append(slice(low, max(high, low)))
        there.append(slice(low - start, max(high, low) - start))
    return tuple(here), tuple(there)


def _own_value(segment: Any) -> int | None:
    import vtk

    text = vtk.reference("")
    found = segment.GetTag(LABEL_TAG, text)
    return int(str(text)) if found and str(text).isdigit() else None


def _named(names: list[str], came: list[int | None], known: Mapping[str, int]) -> list[int | None]:
    """Find the numbers of structures by their names; a structure that is not known keeps one that none of them has."""
    by_name = {name.strip().casefold(): number for name, number in known.items()}
    taken = set(known.values())
    return [by_name.get(name.strip().casefold(), None if own in taken else own) for name, own in zip(names, came)]


def _values(own: list[int | None], known: Mapping[str, int]) -> list[int]:
    """Give every segment a number: its own if no earlier one has it, else one that is free and stands for nothing."""
    taken: set[int] = set()
    values: list[int | None] = []
    for value in own:
        fits = value is not None and 1 <= value <= LARGEST_VALUE and value not in taken
        values.append(value if fits else None)
        taken.update([value] if fits and value is not None else [])
    taken.update(known.values())
    free = iter(number for number in range(1, LARGEST_VALUE + 1) if number not in taken)
    try:
        return [next(free) if value is None else value for value in values]
    except StopIteration:
        raise ValueError(f"more than {LARGEST_VALUE} segments; remove some") from None


def _colour(segment: Any) -> tuple[int, int, int]:
    red, green, blue = (round(part * 255) for part in segment.GetColor())
    return red, green, blue
