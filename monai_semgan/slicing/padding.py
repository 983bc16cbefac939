"""Constant fills at the border of a scan, such as +62512 outside the circle of a CT or -1024 around an MR.

Files without DICOM's header do not tell which value is none, and resampling fills with any. A fill is recognised by
what measured voxels never are: exactly one value over a large connected area that reaches the border, and darker or
brighter than air can be. Phantoms made in code have few values, none of which is taken for a fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy import ndimage

from monai_semgan.modalities import FEW_SAMPLES, FEW_VALUES, value_sample

CT_AIR_HU = -1000.0

CT_DARK_HU = -112.0
"""Fills below are air in CT whatever their value: they are cut off at the window's lower end."""

EDGE_SHARE = 0.05
"""A fill takes at least this part of the volume's twelve edges: the circle of a scanner leaves all corners."""

LEAST_SHARE = 0.005
"""A fill takes at least this part of the volume."""

BELOW_SHARE = 0.1
"""Air is the darkest there is: a value with this part of the other voxels below is none."""

MARGIN = 0.02
"""Differences below this part of the range of the other voxels do not count."""

TIMES = 3
"""A value that this many times as many pairs of neighbours inside share as any value next to it is not measured."""

NEXT_VALUES = 8
"""So many next lower and next higher values are looked at."""

FEWEST_PAIRS = 10
"""Fewer pairs more than that say nothing."""

FAR = 0.5
"""Part of that range by which a fill lies below where other voxels are negative as well, as in normalised MR."""

CELL = 4
LONG_AXIS = 160
SMALLEST = 1000
"""Fills are not looked for in volumes of fewer voxels."""


@dataclass(frozen=True)
class Padding:
    """Constant fills of a volume, and what stands for them.

    Args:
        values: of the fills.
        everywhere: for each, whether also voxels away from the border are none: measured ones do not have the value.
        blocks: for each, whether blocks of it away from the border are none, as in gas that was masked with the air.
        air: value of air in the volume.
        share: of the volume that the fills take.
    """

    values: tuple[float, ...]
    everywhere: tuple[bool, ...]
    blocks: tuple[bool, ...]
    air: float
    share: float

    def removed(self, array: np.ndarray) -> np.ndarray:
        """A copy of the volume (I, J, K) with air in place of the fills."""
        cleaned = array.copy()
        for value, everywhere, blocks in zip(self.values, self.everywhere, self.blocks, strict=True):
            np.putmask(cleaned, array == value if everywhere else _region(array, value), self.air)
            if blocks:
                np.putmask(cleaned, _blocks(array == value), self.air)
        return cleaned

    def note(self) -> str:
        """Tell the user, in one sentence."""
        named = " and ".join(f"{value:g}" for value in self.values)
        return f"The constant value {named} at the border ({self.share:.0%} of the scan) is padding: it counts as air."


def find_padding(array: np.ndarray, modality: str, hu_offset: float = 0.0) -> Padding | None:
    """Find constant fills whose values would be taken for tissue or spoil the range of values.

    Args:
        array: (I, J, K) voxel values.
        modality: `CT`, `MR`, or another.
        hu_offset: what was added to HU, for CT.

    Returns:
        None where there is none, also where the fill is as dark as air is.
    """
    constants = _edge_constants(array) if array.size >= SMALLEST else ()
    if modality == "CT":
        constants = tuple(value for value in constants if value - hu_offset > CT_DARK_HU)
    if not constants:
        return None
    sample = value_sample(array, FEW_SAMPLES)
    rest = sample[~np.isin(sample, constants)]
    if rest.size < LEAST_SHARE * sample.size or np.unique(rest).size <= FEW_VALUES:
        return None
    air, low, high = (float(v) for v in np.percentile(rest, (0.1, 0.5, 99.5)))
    margin = MARGIN * (high - low)
    darkest = low - (margin if low >= -margin else FAR * (high - low))  # magnitudes are not negative
    values = []
    for value in constants:
        not_air = float(np.mean(rest < value - margin)) > BELOW_SHARE
        too_dark = modality != "CT" and value < min(darkest, 0.0)
        if (not_air or too_dark) and np.mean(sample == value) >= LEAST_SHARE:
            values.append(value)
    kept, everywhere, blocks, share = [], [], [], 0.0
    for value in values:
        region = _region(array, value)
        if (taken := float(region.mean())) >= LEAST_SHARE:
            far = modality != "CT" and not low - margin < value < high + margin  # in CT it may be metal
            kept.append(value)
            everywhere.append(far)
            blocks.append(not far and _sticks_out(array, region, value))
            share += taken
    if not kept:
        return None
    air = CT_AIR_HU + hu_offset if modality == "CT" else air
    return Padding(tuple(kept), tuple(everywhere), tuple(blocks), air, share)


def _edge_constants(array: np.ndarray) -> tuple[float, ...]:
    """Values that many of the voxels on the twelve edges of the box share, the two most frequent at most."""
    lines = []
    for fixed in combinations(range(3), 2):
        for ends in product((0, -1), repeat=2):
            index: list[int | slice] = [slice(None)] * 3
            for axis, end in zip(fixed, ends, strict=True):
                index[axis] = end
            lines.append(array[tuple(index)])
    values, counts = np.unique(np.concatenate(lines), return_counts=True)
    order = np.argsort(-counts)[:2]
    return tuple(float(values[i]) for i in order if counts[i] >= EDGE_SHARE * counts.sum())


def _sticks_out(array: np.ndarray, region: np.ndarray, value: float) -> bool:
    """Tell whether neighbours outside a region (I, J, K) share a value far more often than the values next to it.

    Measured values come and go with the noise: few neighbours share one, in integers as in fractions. The largest of
    all may be what a scanner cuts off at, as metal in CT: it is none only far beyond the others.
    """
    axis = int(np.argmax(array.shape))
    first, second = _ends(array, axis)
    pairs = np.logical_and(first == second, ~_ends(region, axis)[0])
    values, counts = np.unique(first[pairs], return_counts=True)
    place = int(np.searchsorted(values, value))
    if place == len(values) or values[place] != value:
        return False
    lowest, below = float(array.min()), float(np.max(array, where=array < value, initial=-np.inf))
    if not (array > value).any():
        return value - below > below - lowest
    around = [*counts[max(0, place - NEXT_VALUES) : place], *counts[place + 1 : place + 1 + NEXT_VALUES]]
    return bool(counts[place] > TIMES * max(around, default=0) + FEWEST_PAIRS)


def _blocks(mask: np.ndarray) -> np.ndarray:
    """(I, J, K) bool: voxels in blocks of two voxels along every axis that lie wholly in a mask."""
    axes = [axis for axis, size in enumerate(mask.shape) if size > 1]
    inner = mask
    for axis in axes:
        inner = np.logical_and(*_ends(inner, axis))
    for axis in axes:
        wider = np.zeros([n + (a == axis) for a, n in enumerate(inner.shape)], dtype=bool)
        for part in _ends(wider, axis):
            part |= inner
        inner = wider
    return inner


def _ends(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Views of an array without its last and without its first plane."""
    size = array.shape[axis]
    first, second = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    first[axis], second[axis] = slice(size - 1), slice(1, size)
    return array[tuple(first)], array[tuple(second)]


def _region(array: np.ndarray, value: float) -> np.ndarray:
    """(I, J, K) bool: voxels of exactly this value in or next to constant areas that reach the border."""
    same = array == value
    factors: Sequence[int] = [CELL if size >= LONG_AXIS else 1 for size in array.shape]
    cells = same
    for axis, factor in enumerate(factors):
        cells = np.logical_and.reduceat(cells, np.arange(0, cells.shape[axis], factor), axis=axis)
    parts, count = ndimage.label(cells)
    border = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            border[np.unique(np.take(parts, end, axis=axis))] = True
    border[0] = False
    near = ndimage.binary_dilation(border[parts], np.ones((3, 3, 3), dtype=bool))
    for axis, (factor, size) in enumerate(zip(factors, array.shape, strict=True)):
        near = np.take(near, np.arange(size) // factor, axis=axis)
    return np.logical_and(same, near, out=same)
