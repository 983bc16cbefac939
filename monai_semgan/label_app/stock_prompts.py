"""Points and scribbles as MONAI Label's clients send them: names of structures, voxel indices, label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.correction.strokes import runs_of
from monai_semgan.errors import SemganError
from monai_semgan.jobs.correction_contract import LONGEST_REACH_MM, MAX_STROKES, REACH_MM, StrokeInput, StrokeKind
from monai_semgan.label_app.label_numbers import told_names
from monai_semgan.organs import structure_key

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

FOREGROUND, BACKGROUND = "foreground_scribbles", "background_scribbles"
"""Names of the segments that clients draw scribbles in."""

Point = tuple[int, int, int]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PointPrompts:
    """All points of a structure that a client shows.

    Attributes:
        structure: name, as the model has it.
        foreground: (i, j, k) voxels that are of it.
        background: voxels that are not.
        reset: what was corrected before is forgotten.
        reach_mm: how far slices follow.
    """

    structure: str
    foreground: tuple[Point, ...]
    background: tuple[Point, ...]
    reset: bool = False
    reach_mm: float = REACH_MM

    @classmethod
    def from_params(cls, params: Mapping[str, Any], labels: Mapping[int, str]) -> PointPrompts:
        """Read `label`, `foreground`, `background`, `reset_state` and `reach_mm`.

        Args:
            params: of a request; points are voxel indices of the image.
            labels: structure name by id of the model.

        Raises:
            SemganError: a value makes no sense, or the model lacks the structure.
        """
        structure = known_structure(params.get("structure"), labels)
        foreground, background = (_points(params, name) for name in ("foreground", "background"))
        if len(foreground) + len(background) > MAX_STROKES:
            raise SemganError(f"there are more than {MAX_STROKES} points", remedy="remove some")
        return cls(structure, foreground, background, params.get("reset_state") is True, reach_of(params))

    def points(self) -> set[tuple[Point, bool]]:
        """Return all points, and whether they are of the structure."""
        return {(point, True) for point in self.foreground} | {(point, False) for point in self.background}


@dataclass(frozen=True)
class ScribblePrompts:
    """Scribbles with the label that they were drawn on.

    Attributes:
        structure: name, as the model has it.
        label: (I, J, K) uint8 ids of the model.
        foreground: (I, J, K) voxels that were drawn as the structure.
        background: voxels that were drawn as something else.
        roi: (6,) first and last voxel along i, j and k between which the structure lies; None where nobody says so.
        reach_mm: how far slices follow.
    """

    structure: str
    label: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    roi: tuple[int, ...] | None = None
    reach_mm: float = REACH_MM

    @classmethod
    def read(cls, path: Path, image: Volume, params: Mapping[str, Any], labels: Mapping[int, str]) -> ScribblePrompts:
        """Read a label map with scribbles.

        Args:
            path: file that was sent; it is laid onto the grid of the image.
            image: grid, see `grids.read_grid`.
            params: `label_info` (`[{"name", "id"}]`; without it the background's scribbles have the id after those of
                the model, the foreground's the next one), `selected_label_name`, `roi`, `reach_mm`.
            labels: structure name by id of the model.

        Raises:
            SemganError: it cannot be read, lies on another grid, or the model lacks the structure.
        """
        from monai_semgan.label_app.grids import lay_onto

        structure = known_structure(params.get("selected_label_name"), labels)
        laid = lay_onto(path, image)
        names = dict(laid.names) or _told(params.get("label_info")) or _as_stock_tasks_number(labels)
        ids = {structure_key(name): index for index, name in labels.items()}
        table = np.zeros(256, np.uint8)
        for index, name in names.items():
            table[index] = ids.get(structure_key(name), 0)
        drawn = {
            name: np.isin(laid.array, [i for i, n in names.items() if n == name]) for name in (FOREGROUND, BACKGROUND)
        }
        roi = _roi(params.get("roi"), laid.array.shape)
        return cls(structure, table[laid.array], drawn[FOREGROUND], drawn[BACKGROUND], roi, reach_of(params))

    def strokes(self) -> list[StrokeInput]:
        """Return what was drawn as strokes: the box first, since scribbles count where they contradict it."""
        found = []
        if self.roi is not None:
            box = np.zeros(self.label.shape, bool)
            box[tuple(slice(a, b + 1) for a, b in zip(self.roi[::2], self.roi[1::2], strict=True))] = True
            found.append(_stroke(self.structure, box, True, StrokeKind.box))
        for mask, positive in ((self.background, False), (self.foreground, True)):
            if mask.any():
                found.append(_stroke(self.structure, mask, positive, StrokeKind.scribble))
        return found


def point_strokes(structure: str, points: Sequence[tuple[Point, bool]], shape: Shape) -> list[StrokeInput]:
    """Return points as strokes.

    Raises:
        SemganError: a point lies outside the scan.
    """
    found = []
    for point, positive in points:
        if not all(0 <= index < size for index, size in zip(point, shape, strict=True)):
            grid = " x ".join(map(str, shape))
            raise SemganError(f"the point {list(point)} lies outside the scan of {grid} voxels", remedy="remove it")
        first = point[0] + shape[0] * (point[1] + shape[1] * point[2])
        found.append(StrokeInput(structure=structure, positive=positive, kind=StrokeKind.point, runs=[[first, 1]]))
    return found


def known_structure(name: object, labels: Mapping[int, str]) -> str:
    """Return the model's own name of a structure.

    Raises:
        SemganError: there is no name, or the model lacks it.
    """
    known = {structure_key(one): one for one in labels.values()}
    if not isinstance(name, str) or structure_key(name) not in known:
        what = f"unknown structure {name[:64]!r}" if isinstance(name, str) else "no structure is named"
        raise SemganError(what, remedy=f"this model knows {', '.join(labels.values())}")
    return known[structure_key(name)]


def reach_of(params: Mapping[str, Any]) -> float:
    """Return how far slices follow, in mm.

    Raises:
        SemganError: it is no such number.
    """
    value = params.get("reach_mm", REACH_MM)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_REACH_MM:
        raise SemganError(f"reach_mm is no number from 0 to {LONGEST_REACH_MM:.0f}")
    return float(value)


def _points(params: Mapping[str, Any], name: str) -> tuple[Point, ...]:
    listed = params.get(name) or []
    if not isinstance(listed, list) or not all(_is_point(point) for point in listed):
        raise SemganError(f"{name} is no list of points [i, j, k]", remedy="give indices of voxels")
    return tuple((round(point[0]), round(point[1]), round(point[2])) for point in listed)


def _is_point(point: object) -> bool:
    numbers = isinstance(point, list) and len(point) == 3
    return numbers and all(type(value) in (int, float) and abs(value) < 1e9 for value in point)  # type: ignore[union-attr, attr-defined]


def _told(label_info: object) -> dict[int, str]:
    """Names by id, which some clients call `id` and others `idx`."""
    told = told_names(label_info, ("id", "idx"))
    return {index: name for index, name in told.items() if 0 < index < 256 and name}


def _as_stock_tasks_number(labels: Mapping[int, str]) -> dict[int, str]:
    last = max(labels)
    return {**labels, last + 1: BACKGROUND, last + 2: FOREGROUND}


def _roi(told: object, shape: Sequence[int]) -> tuple[int, ...] | None:
    """First and last voxel along the axes, inside the scan; None if none was placed."""
    if not told:
        return None
    if not isinstance(told, list) or len(told) != 6 or not all(type(value) in (int, float) for value in told):
        raise SemganError("roi is no list of first and last voxel along i, j and k")
    pairs = [sorted((round(told[2 * axis]), round(told[2 * axis + 1]))) for axis in range(3)]
    inside = [(max(0, low), min(size - 1, high)) for (low, high), size in zip(pairs, shape, strict=True)]
    if any(low > high for low, high in inside):
        raise SemganError("the region of interest lies outside the scan", remedy="place it anew")
    return tuple(value for pair in inside for value in pair)


def _stroke(structure: str, mask: np.ndarray, positive: bool, kind: StrokeKind) -> StrokeInput:
    """Make a stroke of a mask `(I, J, K)`."""
    runs = [list(run) for run in runs_of(np.flatnonzero(mask.ravel(order="F")))]
    return StrokeInput(structure=structure, positive=positive, kind=kind, runs=runs)
