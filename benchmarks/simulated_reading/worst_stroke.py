"""Where a reader draws: along the middle of the largest error, in the slice with most wrong voxels of a structure.

The structure where it is missing, "not this structure" where too much is labelled. Nothing is random, so that every
method of correction that begins at the same label gets the same first stroke.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from monai_semgan.correction.strokes import Stroke
from monai_semgan.slicing.orientation import closest_axes

STROKE_PIXELS = 10
"""Length of a stroke in pixels of the scan's own slices."""


STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""To half of a pixel's eight neighbours; the others follow by going back."""


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
