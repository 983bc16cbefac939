"""Several strokes laid over each other: what a reader wants of every voxel that was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_semgan.correction.strokes import Shape, Stroke
from monai_semgan.errors import SemganError
from monai_semgan.inference.remarks import Remark


@dataclass(frozen=True, eq=False)
class DrawnVoxels:
    """Hold the last word on every voxel that a scribble, a lasso or a point fixes.

    Attributes:
        voxels: `(N, 3)` indices.
        structures: `(N,)` label ids.
        positive: `(N,)` bool: the structure is here, or it is not.
        contradicted: strokes said different things of the same voxel.
    """

    voxels: np.ndarray
    structures: np.ndarray
    positive: np.ndarray
    contradicted: bool

    @classmethod
    def of(cls, strokes: Sequence[Stroke], shape: Shape) -> DrawnVoxels:
        """Lay strokes over each other, the newest last; boxes fix no voxel.

        Raises:
            SemganError: if a stroke leaves the scan.
        """
        fixing = [stroke for stroke in strokes if stroke.kind != "box"]
        flat = [stroke.flat(shape) for stroke in fixing]
        meant = [
            np.full(len(at), one.structure if one.positive else -one.structure)
            for one, at in zip(fixing, flat, strict=True)
        ]
        places, meanings = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (flat, meant))
        last = len(places) - 1 - np.unique(places[::-1], return_index=True)[1]
        newest = np.zeros(0, np.int64) if not len(places) else meanings[last][np.searchsorted(places[last], places)]
        voxels = np.stack(np.unravel_index(places[last], shape, order="F"), axis=1)
        return cls(voxels, np.abs(meanings[last]), meanings[last] > 0, bool(_opposed(meanings, newest).any()))

    def __len__(self) -> int:
        """Count the voxels."""
        return len(self.voxels)

    @property
    def index(self) -> tuple[np.ndarray, ...]:
        """Index an array of the scan's shape with it."""
        return tuple(self.voxels.T)

    def chosen(self, wanted: np.ndarray) -> DrawnVoxels:
        """Take some of the voxels, `(N,)` bool."""
        return DrawnVoxels(self.voxels[wanted], self.structures[wanted], self.positive[wanted], self.contradicted)

    def agreeing(self, label: np.ndarray) -> DrawnVoxels:
        """Take the voxels that a label shows as they were drawn."""
        return self.chosen((label[self.index] == self.structures) == self.positive)

    def without(self, newer: DrawnVoxels, shape: Shape) -> DrawnVoxels:
        """Take the voxels that are not drawn again."""
        mine, theirs = (np.ravel_multi_index(one.index, shape) for one in (self, newer))
        return self.chosen(~np.isin(mine, theirs))

    def over(self, older: DrawnVoxels, shape: Shape) -> DrawnVoxels:
        """Join with older ones, over which these win."""
        under = older.without(self, shape)
        pairs = ((self.voxels, under.voxels), (self.structures, under.structures), (self.positive, under.positive))
        voxels, structures, positive = (np.concatenate(pair) for pair in pairs)
        return DrawnVoxels(voxels, structures, positive, False)

    def paint(self, label: np.ndarray, locked: Sequence[int]) -> int:
        """Write into a label what was drawn: of a negative stroke, background in place of its structure.

        Args:
            label: ids `(I, J, K)`, changed in place.
            locked: structures whose voxels stay, and which get no further ones.

        Returns:
            How many voxels stay other than drawn, since a structure is locked.
        """
        before = label[self.index]
        wanted = np.where(self.positive, self.structures, np.where(before == self.structures, 0, before))
        barred = (np.isin(before, locked) | np.isin(wanted, locked)) & (wanted != before)
        label[self.index] = np.where(barred, before, wanted)
        return int(barred.sum())


def _opposed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tell which meanings cannot both be true: one structure here and not here, or two structures here."""
    return (first != second) & ((first == -second) | ((first > 0) & (second > 0)))


def check_strokes(strokes: Sequence[Stroke], labels: Mapping[int, str], shape: Shape) -> None:
    """Make sure that strokes can be followed.

    Raises:
        SemganError: if there is none, a structure is unknown, or a stroke leaves the scan.
    """
    if not strokes:
        raise SemganError("no stroke to correct by", remedy="draw one")
    for stroke in strokes:
        if stroke.structure not in labels:
            known = ", ".join(f"{index} {name}" for index, name in labels.items())
            raise SemganError(f"unknown structure {stroke.structure}", remedy=f"this model knows {known}")
        stroke.check_inside(shape)


def checked_label(label: np.ndarray, shape: Shape) -> np.ndarray:
    """Copy a label as ids `(I, J, K)` uint8.

    Raises:
        SemganError: if it is of another grid, or its values are no ids.
    """
    given, most = np.asarray(label), np.iinfo(np.uint8).max
    if given.dtype.kind not in "biuf":
        raise SemganError(f"a label of type {type(label).__name__}", remedy="give an array of label ids (I, J, K)")
    if given.shape != shape:
        found, wanted = ("x".join(map(str, one)) for one in (given.shape, shape))
        problem = f"a label of {found} voxels for a scan of {wanted}"
        raise SemganError(problem, remedy="give the label on the scan's own grid")
    if given.dtype == np.uint8:  # a check of a large label takes a tenth of a second
        return given.copy()
    wrong = given[~((given >= 0) & (given <= most) & (given == np.floor(given)))]
    if wrong.size:
        raise SemganError(f"a label with the value {wrong[0]}", remedy=f"give label ids, whole numbers up to {most}")
    return given.astype(np.uint8)


def remarks_on_strokes(drawn: DrawnVoxels, kept: int) -> list[Remark]:
    """Say where strokes could not be followed to the letter.

    Args:
        drawn: the strokes.
        kept: voxels that stay other than drawn, since a structure is locked.
    """
    found = []
    if drawn.contradicted:
        found.append(Remark("Strokes contradict each other: the newest counts.", "strokes_contradict"))
    if kept:
        text = f"{kept} drawn voxels stay as they were, since a locked structure is concerned."
        found.append(Remark(text, "locked_kept"))
    return found
