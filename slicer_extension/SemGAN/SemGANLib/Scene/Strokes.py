"""Strokes: voxels of the scan that are, or are not, of a structure, found in what was painted and erased.

Voxels are numbered in the order of the scan's (K, J, I) array, i fastest: `i + I * (j + J * k)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..Server.CorrectionCalls import runs_of
from ..Types.CorrectionTypes import StrokeInput
from . import Geometry

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, eq=False)
class Stroke:
    """Voxels that are, or are not, of a structure.

    Attributes:
        value: number of the structure in label maps.
        indices: (N,) numbers of voxels in ascending order, each once.
        positive: False for "not this structure here".
        kind: see `Types.CorrectionTypes.StrokeInput`.
    """

    structure: str
    value: int
    indices: numpy.ndarray
    positive: bool = True
    kind: str = "scribble"

    @property
    def fixes(self) -> bool:
        """Whether its voxels are decided by it. A positive box only says that the structure lies inside."""
        return self.kind != "box" or not self.positive


def differences(
    layers: Sequence[numpy.ndarray],
    known: numpy.ndarray,
    names: Mapping[int, str],
    only: int | None = None,
) -> list[Stroke]:
    """Find what was painted and erased since a state: added voxels are positive strokes, removed ones negative.

    A voxel that went from one structure to another is a positive stroke of the other one alone.

    Args:
        layers: (K, J, I) label maps of the segments as they are now; a voxel may be in several.
        known: (K, J, I) label map of the state.
        names: of the structures that count, by number.
        only: number of the one structure whose edits are wanted; None for all.
    """
    import numpy as np

    now, was = [layer.reshape(-1) for layer in layers], known.reshape(-1)
    different = [np.flatnonzero(layer != was) for layer in now]
    found: dict[tuple[int, bool], list[numpy.ndarray]] = {}
    for layer, voxels in zip(now, different):
        _sort(voxels[layer[voxels] != 0], layer, True, found)
    gone = np.flatnonzero(was) if not different else _in_all(different)
    gone = gone[was[gone] != 0]
    if only is None and now:
        gone = gone[np.max([layer[gone] for layer in now], axis=0) == 0]
    _sort(gone, was, False, found)
    return [
        Stroke(names[value], value, np.unique(np.concatenate(parts)), positive)
        for (value, positive), parts in sorted(found.items())
        if value in names and only in (None, value)
    ]


def overlay(label: numpy.ndarray, strokes: Iterable[Stroke]) -> numpy.ndarray:
    """Copy a (K, J, I) label map and draw strokes into it, the last one on top."""
    flat = label.copy().reshape(-1)
    for stroke in strokes:
        if stroke.fixes and stroke.positive:
            flat[stroke.indices] = stroke.value
        elif stroke.fixes:
            flat[stroke.indices[flat[stroke.indices] == stroke.value]] = 0
    return flat.reshape(label.shape)


def as_label(layers: Sequence[numpy.ndarray], known: numpy.ndarray) -> numpy.ndarray:
    """Make one (K, J, I) label map of several; where they overlap, that counts which was painted since a state."""
    import numpy as np

    if len(layers) == 1:
        return layers[0]
    label = np.zeros(known.shape, dtype=np.uint8)
    for fresh in (False, True):
        for layer in layers:
            here = layer != 0
            if fresh:
                here &= layer != known
            label[here] = layer[here]
    return label


def to_inputs(
    strokes: Iterable[Stroke],
    affine: numpy.ndarray,
    shape: tuple[int, int, int],
    servers: numpy.ndarray,
    servers_shape: tuple[int, int, int],
) -> tuple[StrokeInput, ...]:
    """Write strokes as they are sent, on the grid of the scan as the server has it.

    Args:
        affine: (4, 4) of the scan here.
        shape: (I, J, K) of the scan here.
        servers: (4, 4) of the scan there.
        servers_shape: (I, J, K) of the scan there.

    Raises:
        ValueError: if the two do not have the same voxels.
    """
    place = Geometry.same_points(servers, servers_shape, affine, shape)
    if place is None:
        raise ValueError("the scan lies on another grid at the server")
    return tuple(
        StrokeInput(
            stroke.structure,
            runs_of(renumbered(stroke.indices, shape, servers_shape, place)),
            stroke.positive,
            stroke.kind,
        )
        for stroke in strokes
        if stroke.indices.size
    )


def renumbered(
    indices: numpy.ndarray,
    shape: tuple[int, int, int],
    other_shape: tuple[int, int, int],
    place: Geometry.Placement,
    ordered: bool = True,
) -> numpy.ndarray:
    """Find the numbers of voxels on another grid that has the same voxels.

    Args:
        shape: (I, J, K) of the grid that they are numbered on.
        other_shape: (I, J, K) of the other one.
        place: how voxels of the first grid are found on the other one.
        ordered: whether they come in ascending order; otherwise in that of `indices`.
    """
    import numpy as np

    here = np.unravel_index(indices, shape[::-1])[::-1]
    there = [here[axis] for axis in place.axes]
    turned = [size - 1 - at if flip else at for at, flip, size in zip(there, place.flipped, other_shape)]
    numbers = np.ravel_multi_index(tuple(turned[::-1]), other_shape[::-1])
    return np.sort(numbers) if ordered else np.asarray(numbers)


def _in_all(indices: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """Find what all of several lists have, each in ascending order."""
    import numpy as np

    common = indices[0]
    for others in indices[1:]:
        common = np.intersect1d(common, others, assume_unique=True)
    return common


def _sort(
    indices: numpy.ndarray,
    label: numpy.ndarray,
    positive: bool,
    found: dict[tuple[int, bool], list[numpy.ndarray]],
) -> None:
    """Sort voxels by their number in a flat label map."""
    import numpy as np

    values = label[indices]
    for value in np.unique(values):
        found.setdefault((int(value), positive), []).append(indices[values == value])
