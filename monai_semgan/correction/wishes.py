"""What strokes ask for, structure by structure, on the slices of the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from monai_semgan.correction.slice_grid import SliceGrid
from monai_semgan.correction.strokes import Stroke

Masks = dict[int, np.ndarray]
"""Pixels `(H, W)` bool by number of the slice."""


@dataclass(frozen=True, eq=False)
class Wish:
    """Ask for more of a structure, or for less.

    Attributes:
        structure: label id.
        positive: more of it.
        donors: ids whose voxels may change: those that may become the structure, or the structure alone.
        drawn: pixels under its strokes.
        boxes: pixels inside positive boxes.
        barred: pixels that are not to change.
    """

    structure: int
    positive: bool
    donors: tuple[int, ...]
    drawn: Masks = field(default_factory=dict)
    boxes: Masks = field(default_factory=dict)
    barred: Masks = field(default_factory=dict)

    @property
    def slices(self) -> set[int]:
        """Number the slices that it touches."""
        return set(self.drawn) | set(self.boxes)


def wishes_of(
    strokes: Sequence[Stroke], label: np.ndarray, grid: SliceGrid, locked: Iterable[int], point_mm: float
) -> list[Wish]:
    """Gather strokes of the same structure and sign.

    Args:
        strokes: in their order, boxes `expanded`.
        label: ids `(I, J, K)` before any of them.
        grid: of the model's slices.
        locked: ids that give and take nothing.
        point_mm: radius of the disc that a point stands for.
    """
    locked = set(locked)
    wishes: dict[tuple[int, bool], Wish] = {}
    for stroke in strokes:
        if stroke.structure in locked or (0 in locked and not stroke.positive):
            continue  # what is less of a structure is more of the background
        key = (stroke.structure, stroke.positive)
        donors = _donors(stroke, label) - locked
        former = wishes.get(key)
        wish = Wish(*key, tuple(sorted(donors.union(former.donors if former else ()))))
        if former is not None:
            wish = Wish(*key, wish.donors, former.drawn, former.boxes, former.barred)
        wishes[key] = wish
        _add(wish, stroke, grid, point_mm)
    for wish in wishes.values():
        opposite = wishes.get((wish.structure, not wish.positive))
        for masks in (opposite.drawn, {} if wish.positive else opposite.boxes) if opposite else ():
            for number, mask in masks.items():
                _join(wish.barred, number, mask)
    return list(wishes.values())


def _donors(stroke: Stroke, label: np.ndarray) -> set[int]:
    if not stroke.positive:
        return {stroke.structure}
    under = set() if stroke.kind == "box" else set(np.unique(label[tuple(stroke.voxels.T)]).tolist())
    return (under | {0}) - {stroke.structure}


def _add(wish: Wish, stroke: Stroke, grid: SliceGrid, point_mm: float) -> None:
    pixels = grid.pixels(stroke.voxels)
    pixels = pixels[grid.inside(pixels)]
    size = grid.geometry.size
    for number in np.unique(pixels[:, 2]):
        rows, columns = pixels[pixels[:, 2] == number, :2].T
        mask = np.zeros((size, size), dtype=bool)
        mask[rows, columns] = True
        if stroke.kind == "point":
            mask = ndimage.distance_transform_edt(~mask) * grid.geometry.pixel_mm <= point_mm
        _join(wish.boxes if stroke.kind == "box" else wish.drawn, int(number), mask)


def _join(masks: Masks, number: int, mask: np.ndarray) -> None:
    masks[number] = masks[number] | mask if number in masks else mask
