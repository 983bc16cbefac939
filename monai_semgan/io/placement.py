"""Whether two grids fill the same points in space, in whatever order and direction their axes run, and the way there.

Programs store the same voxels along different axes: 3D Slicer turns one axis of left-handed volumes when it loads them,
nibabel keeps what it finds, others write everything as RAS. Voxels are only ever reordered here, never interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.volume import Volume

OFF_MM = 0.5
"""Millimetres by which centres of voxels may miss those of the other grid. Headers of 32-bit numbers, quaternions near
half a turn, and texts of six digits put the corner of a scan up to some 0.2 mm elsewhere; nobody shifts on purpose by
less than half a millimetre."""

OFF_VOXEL = 0.5
"""... and the part of the smallest spacing: from there on, a voxel lies nearer to a neighbour than to its own place."""


@dataclass(frozen=True)
class Placement:
    """How a grid lies in another one of the same lattice.

    Args:
        axes: for each axis of the other grid, which of this one runs along it.
        signs: 1, or -1 where it runs the other way.
        start: (3,) voxel of the other grid at which this one begins.
        shape: of this grid, along the other's axes.
        off_mm: how far centres of voxels miss those of the other grid.
        off_voxels: the same as a part of a voxel, along an axis of the other grid.
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]
    off_mm: float
    off_voxels: float

    def turned(self, array: np.ndarray) -> np.ndarray:
        """Return a view of this grid's voxels along the axes of the other one."""
        return array.transpose(self.axes)[tuple(slice(None, None, sign) for sign in self.signs)]

    def beyond(self, shape: Sequence[int]) -> int:
        """Return by how many voxels this grid reaches beyond the other one, at most along an axis."""
        ends = np.add(self.start, self.shape) - np.asarray(shape)
        return int(max(0, *(-start for start in self.start), *ends))


def find_placement(shape: Sequence[int], affine: np.ndarray, other: np.ndarray) -> Placement | None:
    """Find how the axes of a grid run along those of another one.

    Args:
        shape: of the grid; an axis of one voxel lies along whichever axis is left, and its spacing means nothing.
        affine: (4, 4) its voxel index to RAS mm.
        other: (4, 4) that of the other grid.

    Returns:
        None where they are tilted against each other, or voxels differ so much in size that no axis fits.
    """
    if not (np.isfinite(affine).all() and np.isfinite(other).all()) or np.linalg.det(other[:3, :3]) == 0:
        return None
    there = np.linalg.solve(other, affine)
    turn = _turn(shape, there[:3, :3])
    if turn is None:
        return None
    last = np.asarray(shape) - 1
    first = np.rint(there[:3, :3] @ (last / 2) + there[:3, 3] - turn @ (last / 2)).astype(int)
    corners = np.array([*product(*((0, end) for end in last))]).T
    off = (there[:3, :3] - turn) @ corners + (there[:3, 3] - first)[:, None]
    axes = tuple(int(np.flatnonzero(row)[0]) for row in turn)
    signs = tuple(int(row[axis]) for row, axis in zip(turn, axes, strict=True))
    start = (int(begin - last[axis] * (sign < 0)) for begin, axis, sign in zip(first, axes, signs, strict=True))
    off_mm = float(np.linalg.norm(other[:3, :3] @ off, axis=0).max())
    return Placement(axes, signs, tuple(start), tuple(shape[a] for a in axes), off_mm, float(np.abs(off).max()))


def _turn(shape: Sequence[int], matrix: np.ndarray) -> np.ndarray | None:
    """The nearest matrix of 0, 1 and -1 that only reorders and turns axes; None if there is none near."""
    turn = np.rint(matrix)
    for axis, size in enumerate(shape):
        if size == 1:
            turn[:, axis] = 0
    free = [axis for axis in range(3) if not turn[axis].any()]
    for axis, size in enumerate(shape):
        if size == 1 and free:
            turn[free.pop(0), axis] = 1
    once = np.ones(3)
    return turn if all(np.array_equal(np.abs(turn).sum(axis), once) for axis in (0, 1)) else None


def on_grid_of(label: Volume, image: Volume, part: bool = False) -> Volume:
    """Return a label on the grid of its image, voxel by voxel; the label itself where it lies there already.

    Where a header tells several places, each counts; the order in which both are stored is kept where that fits.

    Args:
        label: any volume.
        image: the volume that it belongs to.
        part: take a label of a part of the image as well; what it does not reach is 0.

    Raises:
        SemganError: the label does not fill the image's points in space, with the difference.
    """
    return placed_on(label, image, placement_on(label, image, part))


def placed_on(label: Volume, image: Volume, placement: Placement | None) -> Volume:
    """Return a label on the grid of its image by what `placement_on` found.

    Args:
        label: the volume, or one that has been read since on the same grid.
        image: the volume that it belongs to.
        placement: None leaves the label as it is.
    """
    if placement is None:
        return label
    turned = placement.turned(label.array)
    if placement.shape != image.array.shape:
        whole = np.zeros(image.array.shape, turned.dtype, order="F")
        whole[tuple(slice(a, a + n) for a, n in zip(placement.start, placement.shape, strict=True))] = turned
        turned = whole
    known = {"affine": image.affine, "header": image.header, "other_affines": image.other_affines}
    return replace(label, array=turned, **known)


def placement_on(label: Volume, image: Volume, part: bool = False) -> Placement | None:
    """Return how a label lies on its image; None if it lies there as it is stored. See `on_grid_of`."""
    if not (label.spacing_known and image.spacing_known):
        if label.array.shape != image.array.shape:
            raise _shapes_differ(label, image)
        return None
    found = [place for place in _placements(label, image) if place.off_mm <= tolerance_mm(image)]
    if any(_is_whole(place, image) and _as_stored(place, label) for place in found):
        return None
    inside = [place for place in found if _is_whole(place, image) or (part and not place.beyond(image.array.shape))]
    if not inside:
        raise _difference(label, image, found)
    return inside[0]


def tolerance_mm(image: Volume) -> float:
    """Return by how many mm voxels of a label may miss those of an image."""
    return min(OFF_MM, OFF_VOXEL * float(image.spacing.min()))


def _placements(label: Volume, image: Volume) -> Iterator[Placement]:
    for other in (image.affine, *image.other_affines):
        for one in (label.affine, *label.other_affines):
            placement = find_placement(label.array.shape, one, other)
            if placement is not None:
                yield placement


def _is_whole(placement: Placement, image: Volume) -> bool:
    return placement.shape == image.array.shape and placement.start == (0, 0, 0)


def _as_stored(placement: Placement, label: Volume) -> bool:
    """Whether nothing is turned but what has one voxel only."""
    sizes = label.array.shape
    kept = [axis for axis in placement.axes if sizes[axis] > 1] == [a for a in range(3) if sizes[a] > 1]
    return (
        kept
        and placement.shape == sizes
        and all(s > 0 for s, n in zip(placement.signs, placement.shape, strict=True) if n > 1)
    )


def _shapes_differ(label: Volume, image: Volume) -> SemganError:
    shapes = " and ".join("x".join(map(str, v.array.shape)) for v in (label, image))
    return _error(f"label and image differ in shape: {shapes}", label)


def _error(problem: str, label: Volume) -> SemganError:
    return SemganError(problem, remedy="resample the label onto the image's grid", path=label.path)


def _difference(label: Volume, image: Volume, found: Sequence[Placement]) -> SemganError:
    """The reason why a label is not taken, by how much it differs."""
    sizes = image.array.shape
    if found and found[0].shape == sizes:
        shift = " x ".join(str(abs(n)) for n in found[0].start)
        away = float(np.linalg.norm(image.affine[:3, :3] @ np.asarray(found[0].start)))
        return _error(f"label and image lie at different places: {shift} voxels, {away:.3g} mm, apart", label)
    if found and sorted(label.array.shape) != sorted(sizes) and found[0].beyond(sizes):
        return _error(f"the label reaches {found[0].beyond(sizes)} voxels beyond the image", label)
    if found or sorted(label.array.shape) != sorted(sizes):
        return _shapes_differ(label, image)
    return _error(f"label and image lie at different places: {', '.join(_measured(label, image))}", label)


def _measured(label: Volume, image: Volume) -> list[str]:
    """What differs between two grids of as many voxels."""
    one, other = label.affine[:3, :3], image.affine[:3, :3]
    cosines = np.abs((other / image.spacing).T @ (one / label.spacing))
    order = list(max(permutations(range(3)), key=lambda axes: sum(cosines[i, axis] for i, axis in enumerate(axes))))
    told = []
    angle = float(np.degrees(np.arccos(np.clip(min(cosines[i, axis] for i, axis in enumerate(order)), 0, 1))))
    if angle > 0.01:
        told.append(f"its axes are tilted by {angle:.2g} degrees")
    spacing = label.spacing[order]
    if not np.allclose(spacing, image.spacing, rtol=1e-4, atol=0):
        sizes = [" x ".join(f"{size:.4g}" for size in sizes) for sizes in (spacing, image.spacing)]
        told.append(f"its voxels measure {sizes[0]} mm, those of the image {sizes[1]} mm")
    middles = [v.affine[:3, :3] @ ((np.asarray(v.array.shape) - 1) / 2) + v.affine[:3, 3] for v in (label, image)]
    away = float(np.linalg.norm(middles[0] - middles[1]))
    if away > 0.01:
        told.append(f"its centre lies {away:.3g} mm away")
    return told or ["the headers differ in how they place the voxels"]
