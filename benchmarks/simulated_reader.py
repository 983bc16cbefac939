"""A reader who corrects a label as people do: a short stroke where the label is most wrong.

`worst_stroke` looks for the slice with most wrong voxels of a structure, takes the largest connected error in it, and
draws along its middle: the structure where it is missing, "not this structure" where too much is labelled. Nothing is
random, so that every method of correction that begins at the same label gets the same first stroke.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.volume import Volume
from monai_semgan.quality.overlap import dice
from monai_semgan.slicing.orientation import closest_axes

STROKE_PIXELS = 10
"""Length of a stroke in pixels of the scan's own slices."""

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""To half of a pixel's eight neighbours; the others follow by going back."""


@dataclass(frozen=True, eq=False)
class ReaderState:
    """What a reader looks at.

    Attributes:
        volume: the scan.
        label: (I, J, K) ids on its grid, as they stand.
        strokes: drawn until now, the oldest first.
    """

    volume: Volume
    label: np.ndarray
    strokes: tuple[Stroke, ...] = ()


class Method(Protocol):
    """A way to correct a label by a stroke."""

    name: str

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Return the label (I, J, K) after a further stroke; `state` stays as it is."""
        ...


@dataclass(frozen=True)
class Reading:
    """What a reader got by correcting one structure of one scan.

    Attributes:
        dice: before the first stroke, and after each.
        strokes: that were drawn; fewer than asked for where no error was left.
        seconds: that each correction took.
    """

    dice: tuple[float, ...]
    strokes: tuple[Stroke, ...] = field(default=(), repr=False)
    seconds: tuple[float, ...] = ()


def read(
    method: Method,
    volume: Volume,
    label: np.ndarray,
    reference: np.ndarray,
    structure: int,
    rounds: int,
    *,
    clock: Callable[[], float],
    given: Sequence[Stroke] | None = None,
) -> Reading:
    """Correct a structure stroke by stroke.

    Args:
        method: how.
        volume: the scan.
        label: (I, J, K) ids to begin with.
        reference: (I, J, K) true ids, of the same numbers.
        structure: id.
        rounds: strokes.
        clock: seconds.
        given: strokes to apply instead of those that the reader would draw.
    """
    state, replayed = ReaderState(volume, label), iter(given or ())
    scores, seconds = [dice(label == structure, reference == structure)], []
    for _ in range(rounds):
        drawn = (
            worst_stroke(state.label, reference, structure, volume.affine) if given is None else next(replayed, None)
        )
        if drawn is None:
            break
        began = clock()
        corrected = method.apply(state, drawn)
        seconds.append(clock() - began)
        scores.append(dice(corrected == structure, reference == structure))
        state = ReaderState(volume, corrected, (*state.strokes, drawn))
    return Reading(tuple(scores), state.strokes, tuple(seconds))


def worst_stroke(
    label: np.ndarray, reference: np.ndarray, structure: int, affine: np.ndarray, pixels: int = STROKE_PIXELS
) -> Stroke | None:
    """Draw in the largest error of the worst slice.

    Args:
        label: (I, J, K) ids as they stand.
        reference: (I, J, K) true ids.
        structure: id that is corrected.
        affine: (4, 4) voxel to RAS mm; slices are those across the axis that runs closest to head and feet.
        pixels: length of the stroke; the whole middle of the error where that is shorter.

    Returns:
        Positive where the structure is missing, negative where too much is labelled; None where nothing is wrong.
    """
    axis = slice_axis(affine)
    found, true = label == structure, reference == structure
    wrong = np.moveaxis(found != true, axis, 2)
    counts = wrong.sum(axis=(0, 1))
    index = int(counts.argmax())
    if counts[index] == 0:
        return None
    missing = np.moveaxis(true & ~found, axis, 2)[..., index]
    surplus = np.moveaxis(found & ~true, axis, 2)[..., index]
    regions = [largest_region(mask) for mask in (missing, surplus)]
    positive = int(regions[0].sum()) >= int(regions[1].sum())
    line = middle_line(regions[0] if positive else regions[1], pixels)
    voxels = np.insert(line, axis, index, axis=1).astype(np.int32)
    return Stroke(structure, voxels, positive=positive)


def slice_axis(affine: np.ndarray) -> int:
    """Find the axis of a volume that runs closest to head and feet."""
    return closest_axes(affine)[2][0]


def largest_region(mask: np.ndarray) -> np.ndarray:
    """Return the largest piece of a mask (H, W) whose pixels share an edge or a corner; all False if it is empty."""
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 0:
        return np.zeros_like(mask)
    return pieces == 1 + int(np.bincount(pieces[mask])[1:].argmax())


def middle_line(region: np.ndarray, pixels: int) -> np.ndarray:
    """Find pixels in a row along the middle of a region.

    Of all ways between two ends of the region, which keep away from its border, the stretch farthest from the border.

    Args:
        region: (H, W), one piece, not empty.
        pixels: so many, or the whole line where that is shorter.

    Returns:
        (n, 2) rows and columns, in order along the line.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    places = np.argwhere(region)
    ways = _ways(region, depth)
    deepest = int(depth[region].argmax())
    one_end = int(dijkstra(ways, indices=deepest).argmax())
    distance, before = dijkstra(ways, indices=one_end, return_predecessors=True)
    line = [int(distance.argmax())]
    while line[-1] != one_end:
        line.append(int(before[line[-1]]))
    depths = depth[region][line]
    count = min(pixels, len(line))
    sums = np.convolve(depths, np.ones(count), "valid")
    start = int(sums.argmax())
    return places[line[start : start + count]]


def _ways(region: np.ndarray, depth: np.ndarray) -> csr_array:
    """Cost of going from pixel to neighbour: their distance, over how far inside both lie."""
    number = np.full(np.add(region.shape, 2), -1)
    number[1:-1, 1:-1][region] = np.arange(np.count_nonzero(region))
    rows, columns = np.nonzero(number >= 0)
    inside, mine = depth[region], number[rows, columns]
    starts, ends, costs = [], [], []
    for step in STEPS:
        other = number[rows + step[0], columns + step[1]]
        there = other >= 0
        a, b = mine[there], other[there]
        starts += [a, b]
        ends += [b, a]
        costs += 2 * [2 * np.hypot(*step) / (inside[a] + inside[b])]
    size = len(inside)
    where = (np.concatenate(starts), np.concatenate(ends))
    return csr_array((np.concatenate(costs), where), shape=(size, size))


@dataclass(frozen=True)
class Paint:
    """Plain painting: the pixels of the stroke, and nothing else."""

    name: str = "paint"

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Paint the structure; where the stroke is negative, take it away."""
        label = state.label.copy()
        imprint(label, stroke)
        return label


def imprint(label: np.ndarray, stroke: Stroke) -> None:
    """Write a stroke's own voxels into a label (I, J, K)."""
    where = tuple(stroke.voxels.T)
    label[where] = stroke.structure if stroke.positive else np.where(label[where] == stroke.structure, 0, label[where])


@dataclass(frozen=True)
class Walker:
    """A random walker between the strokes and what is sure of the label (Grady, TPAMI 2006; scikit-image).

    A positive stroke adds to the structure, a negative one takes away. What may change lies within `radius_mm` of the
    stroke; beyond, the label is taken as sure, and so is, near a positive stroke, the structure itself and, near a
    negative one, what is not labelled. Earlier strokes stay.

    Args:
        name: of the method.
        radius_mm: how far from the stroke the label may change, within the slices.
        reach_mm: how far across them; 0: the stroke's slice alone.
        beta: how much edges hinder the walker.
    """

    name: str = "walker"
    radius_mm: float = 20.0
    reach_mm: float = 0.0
    beta: float = 1000.0

    def apply(self, state: ReaderState, stroke: Stroke) -> np.ndarray:
        """Return the label after a stroke; voxels that the stroke reached through the image have changed."""
        axis = slice_axis(state.volume.affine)
        near = self._near(state, stroke, axis)
        window = _window(near)
        drawn, inside = _drawn_in(state, stroke), state.label == stroke.structure
        seeds = np.where(inside, 1, 2)  # 1 the structure, 2 all else
        undecided = near & (inside != stroke.positive) & (drawn == 0)
        seeds[undecided] = 0
        seeds = np.where(drawn > 0, drawn, seeds)[window]
        label = state.label.copy()
        found = self._walked(state.volume, window, seeds, axis) == 1
        changed = undecided[window] & (found == stroke.positive)
        part = label[window]
        part[changed] = stroke.structure if stroke.positive else 0
        for one in (*state.strokes, stroke):
            imprint(label, one)
        return label

    def _near(self, state: ReaderState, stroke: Stroke, axis: int) -> np.ndarray:
        """Voxels near enough to the stroke: an ellipse swept along it."""
        reach = [self.radius_mm] * 3
        reach[axis] = max(self.reach_mm, 1e-3)
        away = np.ones(state.label.shape, bool)
        away[tuple(stroke.voxels.T)] = False
        scaled = state.volume.spacing / reach
        margin = np.ceil(1 / scaled).astype(int) + 1
        box = tuple(
            slice(max(0, a - m), b + m + 1)
            for a, b, m in zip(stroke.voxels.min(0), stroke.voxels.max(0), margin, strict=True)
        )
        near = np.zeros_like(away)
        near[box] = ndimage.distance_transform_edt(away[box], sampling=tuple(scaled)) <= 1
        return near

    def _walked(self, volume: Volume, window: tuple[slice, ...], seeds: np.ndarray, axis: int) -> np.ndarray:
        """Ids of the walker in a window."""
        from skimage.segmentation import random_walker

        if not (seeds == 0).any():
            return seeds
        image = grey_values(volume)[window]
        if seeds.shape[axis] == 1:
            flat = random_walker(image.squeeze(axis), seeds.squeeze(axis), beta=self.beta, mode="cg_j")
            return np.expand_dims(flat, axis)
        spacing = volume.spacing / volume.spacing.min()
        return random_walker(image, seeds, beta=self.beta, mode="cg_j", spacing=tuple(spacing))


def _drawn_in(state: ReaderState, stroke: Stroke) -> np.ndarray:
    """Where strokes of the structure lie: 1 positive, 2 negative, the newest on top."""
    drawn = np.zeros(state.label.shape, np.int8)
    for one in (*state.strokes, stroke):
        if one.structure == stroke.structure:
            drawn[tuple(one.voxels.T)] = 1 if one.positive else 2
    return drawn


def _window(near: np.ndarray) -> tuple[slice, ...]:
    """The box around voxels, with one more on each side within slices where there are such."""
    places = ndimage.find_objects(near.astype(np.uint8))[0]
    grown = (slice(max(0, s.start - 1), s.stop + 1) if s.stop - s.start > 1 else s for s in places)
    return tuple(grown)


def grey_values(volume: Volume) -> np.ndarray:
    """Scale an image to 0 to 1 between its percentiles 1 and 99: (I, J, K) float64."""
    low, high = np.percentile(volume.array[::4, ::4], (1, 99))
    return ((volume.array - low) / max(float(high - low), 1e-6)).clip(0, 1).astype(np.float64)
