"""Label files that hold named segments: which segment is which organ, and where its voxels lie in the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.sr.coding import Code as Coded

from monai_semgan.errors import SemganError
from monai_semgan.io.placement import find_placement
from monai_semgan.io.volume import Volume
from monai_semgan.organs import TISSUE, Code, find_organ, structure_key

OFF_GRID = 0.25
"""Part of a voxel by which the centres of a segment's voxels may miss those of the image."""

LISTED = 12


@dataclass(frozen=True)
class StoredSegment:
    """A segment as its file describes it.

    Args:
        number: in its file.
        name: given by a person or a program.
        kind: what it is, as a code; None where the file does not tell.
        side: right or left, as a code.
    """

    number: int
    name: str
    kind: Code | None = None
    side: Code | None = None


def match_segments(stored: Sequence[StoredSegment], wanted: Mapping[int, str], path: Path) -> dict[int, int]:
    """Which segments hold which organs: by name in its usual spellings, else by SNOMED CT code; never by position.

    Args:
        stored: the segments of a file.
        wanted: organ name by label id.
        path: what messages name.

    Returns:
        Label id by number of the segment. Several segments may be one organ; organs may be missing.

    Raises:
        SemganError: there is none of the organs.
    """
    found: dict[int, int] = {}
    for index, name in wanted.items():
        found |= {s.number: index for s in stored if structure_key(s.name) == structure_key(name)}
    for index, name in wanted.items():
        if index not in found.values():
            found |= {s.number: index for s in stored if s.number not in found and _has_code_of(s, name)}
    if not found:
        names = ", ".join(s.name for s in stored[:LISTED]) or "none"
        raise SemganError(
            f"holds none of the organs {', '.join(wanted.values())}; its segments are named {names}",
            remedy="rename the segments, or the labels of the data list",
            path=path,
        )
    return found


def _has_code_of(segment: StoredSegment, name: str) -> bool:
    def same(one: Code | None, other: Code) -> bool:
        return one is not None and Coded(one.value, one.scheme, one.meaning) == Coded(
            other.value, other.scheme, other.meaning
        )

    organ = find_organ(name)
    if organ.kind == TISSUE or not same(segment.kind, organ.kind):
        return False
    return organ.side is None or same(segment.side, organ.side)


class LabelCanvas:
    """A label map on an image's grid, filled segment by segment.

    Args:
        like: the image.
        path: the label file, which messages name.
        names: organ name by label id, for messages.
    """

    def __init__(self, like: Volume, path: Path, names: Mapping[int, str]) -> None:
        self.like = like
        self.path = path
        self.names = names
        self.label = np.zeros(like.array.shape, dtype=np.uint8, order="F")  # as files are stored

    def add(self, mask: np.ndarray, affine: np.ndarray, index: int) -> None:
        """Put a piece of a segment at its place.

        Args:
            mask: (i, j, k) bool, on a grid of its own; an axis of one voxel counts as a plane of the image.
            affine: (4, 4) voxel index of that grid to RAS mm.
            index: label id.

        Raises:
            SemganError: its voxels are not voxels of the image, or two organs share some.
        """
        if not mask.any():
            return
        inside, where = self._inside(mask, affine)
        region = self.label[where]
        taken = inside & (region != 0) & (region != index)
        if taken.any():
            other = self.names[int(region[taken][0])]
            problem = f"{self.names[index]} and {other} share {int(np.count_nonzero(taken))} voxels"
            raise self._error(problem, "separate the segments: a voxel can be of one organ only")
        np.copyto(region, index, where=inside)

    def volume(self) -> Volume:
        """What was put together, on the image's grid."""
        like = self.like
        known = {"spacing_known": like.spacing_known, "other_affines": like.other_affines}
        return Volume(self.label, like.affine, self.path, **known)  # type: ignore[arg-type]

    def _inside(self, mask: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, tuple[slice, ...]]:
        """The mask turned to the image's axes, and its place; the image lies where ITK has it, or where others do.

        The programs that make segments of a NIfTI whose header tells two places see it by ITK.
        """
        refused: list[SemganError] = []
        for image in dict.fromkeys(_key(place) for place in (self.like.itk_affine, self.like.affine, *self._others)):
            try:
                return self._inside_at(mask, affine, np.array(image))
            except SemganError as error:
                refused.append(error)
        raise refused[0]

    @property
    def _others(self) -> tuple[np.ndarray, ...]:
        """Places that can be taken for the image's."""
        tried = (np.asarray(place) for place in self.like.other_affines)
        return tuple(place for place in tried if np.isfinite(place).all() and np.linalg.det(place[:3, :3]) != 0)

    def _inside_at(
        self, mask: np.ndarray, affine: np.ndarray, image: np.ndarray
    ) -> tuple[np.ndarray, tuple[slice, ...]]:
        place = find_placement(mask.shape, affine, image)
        if place is None or place.off_voxels > OFF_GRID:
            raise self._other_grid()
        turned, start = place.turned(mask), np.asarray(place.start)
        low = np.maximum(0, -start)
        high = np.maximum(low, np.minimum(turned.shape, np.asarray(self.label.shape) - start))
        inside = turned[tuple(map(slice, low, high))]
        if np.count_nonzero(inside) != np.count_nonzero(mask):
            raise self._error("a segment reaches beyond its image", "check that label and image belong together")
        return inside, tuple(map(slice, start + low, start + high))

    def _other_grid(self) -> SemganError:
        return self._error("the segments lie on another grid than the image", "resample them onto the image's grid")

    def _error(self, problem: str, remedy: str) -> SemganError:
        return SemganError(problem, remedy=remedy, path=self.path)


def _key(affine: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, np.asarray(affine, dtype=np.float64).tolist()))
