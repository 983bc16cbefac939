"""What a reader draws: voxels, the structure that is meant, and whether it is there or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import index

import numpy as np

from monai_semgan.errors import SemganError

KINDS = ("scribble", "point", "lasso", "box")

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Stroke:
    """Hold one prompt.

    Attributes:
        structure: label id as in `Bundle.labels`, never 0.
        voxels: `(N, 3)` int32 indices i, j, k of the scan's own array, unique, one at least; of a mask `numpy.argwhere`
            makes them.
        positive: the structure is here; False: it is not.
        kind: `scribble`, `point`, `lasso` (filled) or `box` (filled).

    Raises:
        SemganError: if there is no voxel, voxels are no indices, or the structure or the kind is none.
    """

    structure: int
    voxels: np.ndarray
    positive: bool = True
    kind: str = "scribble"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SemganError(f"unknown kind of stroke {self.kind!r}", remedy=f"use {', '.join(KINDS)}")
        try:
            structure = int(index(self.structure))  # numpy's small integers would overflow where signs are needed
        except TypeError:
            problem = f"a stroke of the structure {self.structure!r}"
            raise SemganError(problem, remedy="give its label id, a whole number") from None
        if structure < 1:
            remedy = "name the structure that is wrong here and make the stroke negative"
            raise SemganError("a stroke of the background", remedy=remedy)
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "voxels", np.unique(_indices(self.voxels), axis=0))

    @classmethod
    def from_runs(
        cls,
        structure: int,
        runs: Iterable[Sequence[int]],
        shape: Shape,
        positive: bool = True,
        kind: str = "scribble",
    ) -> Stroke:
        """Make a stroke of runs of voxels.

        Args:
            structure: label id.
            runs: first and length of every run in the flat index i + I * (j + J * k).
            shape: (I, J, K) of the scan.
            positive: see the class.
            kind: see the class.

        Raises:
            SemganError: if a run is empty, is no pair, or leaves the scan.
        """
        pairs = [tuple(int(number) for number in run) for run in runs]
        size = int(np.prod(shape, dtype=np.int64))
        for run in pairs:
            if len(run) != 2 or run[1] < 1:
                raise SemganError(f"a run of voxels {list(run)}", remedy="give first voxel and length, 1 at least")
            if run[0] < 0 or run[0] + run[1] > size:
                grid = "x".join(map(str, shape))
                problem = f"a stroke of voxels {run[0]} to {run[0] + run[1] - 1} leaves the scan of {grid} voxels"
                raise SemganError(problem, remedy="draw on the grid of this scan")
        flat = np.concatenate([np.arange(first, first + length) for first, length in pairs] or [np.empty(0, int)])
        return cls(structure, np.stack(np.unravel_index(flat, shape, order="F"), axis=1), positive, kind)

    def flat(self, shape: Shape) -> np.ndarray:
        """Number the voxels as `from_runs` does: `(N,)` ascending.

        Raises:
            SemganError: if a voxel lies outside the scan.
        """
        self.check_inside(shape)
        i, j, k = self.voxels.T.astype(np.int64)
        return np.sort(i + shape[0] * (j + shape[1] * k))

    def runs(self, shape: Shape) -> list[tuple[int, int]]:
        """Write the voxels as runs: first and length in the flat index, ascending."""
        return runs_of(self.flat(shape))

    def check_inside(self, shape: Shape) -> None:
        """Make sure that all voxels lie in a scan of this shape.

        Raises:
            SemganError: naming the first that does not.
        """
        beyond = ((self.voxels < 0) | (self.voxels >= np.asarray(shape))).any(axis=1)
        if beyond.any():
            voxel = ", ".join(map(str, self.voxels[beyond][0]))
            problem = f"a stroke at voxel ({voxel}) leaves the scan of {'x'.join(map(str, shape))} voxels"
            raise SemganError(problem, remedy="draw on the grid of this scan")


def _indices(voxels: np.ndarray) -> np.ndarray:
    """Make sure that voxels are indices: `(N, 3)` int32."""
    remedy = "give whole numbers i, j, k as (N, 3), as np.argwhere makes them of a mask"
    try:
        given = np.asarray(voxels)
    except ValueError:  # rows of different lengths
        raise SemganError("voxels of a stroke that are no table of indices", remedy=remedy) from None
    if not given.size:
        raise SemganError("a stroke without voxels", remedy="draw at least one voxel")
    if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "iuf":
        problem = f"voxels of a stroke of shape {given.shape} and type {given.dtype}"
        raise SemganError(problem, remedy=remedy)
    limits = np.iinfo(np.int32)
    wrong = ~((given >= limits.min) & (given <= limits.max) & (given == np.floor(given))).all(axis=1)
    if wrong.any():
        raise SemganError(f"a stroke at voxel ({', '.join(map(str, given[wrong][0]))})", remedy=remedy)
    return given.astype(np.int32)


def runs_of(flat: np.ndarray) -> list[tuple[int, int]]:
    """Gather numbers that follow one another: first and length of every run.

    Args:
        flat: `(N,)` whole numbers, ascending, each once, one at least.
    """
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 2) > 1)
    lengths = np.diff(starts, append=len(flat))
    return [(int(flat[start]), int(length)) for start, length in zip(starts, lengths, strict=True)]


def strokes_of_map(
    array: np.ndarray, structures: Mapping[int, int] | None = None, positive: bool = True, kind: str = "scribble"
) -> list[Stroke]:
    """Make strokes of a sparse label map on the scan's grid.

    Args:
        array: `(I, J, K)` integers, 0 where nothing is drawn.
        structures: label id by value; values that it lacks count as not drawn. Values are ids when left out.
        positive: of all strokes.
        kind: of all strokes.

    Returns:
        One stroke for each value that occurs, ascending.

    Raises:
        SemganError: if a value is no whole number.
    """
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        raise SemganError("a map of strokes with fractions", remedy="give a label map, not probabilities")
    found = []
    for value in np.unique(array[array > 0]):
        structure = int(value) if structures is None else structures.get(int(value), 0)
        if structure > 0:
            found.append(Stroke(structure, np.argwhere(array == value), positive, kind))
    return found
