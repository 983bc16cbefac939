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
"""A value inside that is this many times as frequent as any of those next to it, alone or in pairs, is not measured."""

NEXT_VALUES = 8
"""So many next lower and next higher values are looked at."""

FEWEST = 10
"""Fewer more than that say nothing."""

RARE = 0.005
"""A measured value that no larger part of the voxels inside has may be lost with the fill."""

INNER_SAMPLES = 200_000

LEAST_NEAR = 8
"""A voxel belongs to a block if so many of its 27 neighbours, itself included, have the value: sheets have nine."""

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
        everywhere: for each, whether also voxels away from the border are none: measured ones hardly have the value.
        blocks: for each, whether blocks of it away from the border are none, as in gas that was masked with the air,
            where tissue has the value as well.
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
            alone, in_pairs = _sticks_out(array, region, value)
            everywhere.append(far or alone)
            blocks.append(in_pairs and not everywhere[-1])
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


def _sticks_out(array: np.ndarray, region: np.ndarray, value: float) -> tuple[bool, bool]:
    """Tell whether voxels outside a region (I, J, K), and pairs of neighbours, have a value that was not measured.

    Measured values come and go with the noise: they are about as frequent as those next to them, and few neighbours
    share one, in integers as in fractions. The largest of all may be what a scanner cuts off at, as metal in CT: it is
    none only far beyond the others.
    """
    if not (array > value).any():
        below = float(np.max(array, where=array < value, initial=array.min()))
        far = value - below > below - float(array.min())
        return far, far
    step = max(1, round((array.size / INNER_SAMPLES) ** (1 / 3)))
    inside = array[::step, ::step, ::step][~region[::step, ::step, ::step]]
    axis = int(np.argmax(array.shape))
    first, second = _ends(array, axis)
    pairs = np.logical_and(first == second, ~_ends(region, axis)[0])
    return _frequent(inside, value, RARE * inside.size), _frequent(first[pairs], value, np.inf)


def _frequent(values: np.ndarray, value: float, most: float) -> bool:
    """Tell whether a value is far more frequent than those next to it, and these have at most so many voxels."""
    found, counts = np.unique(values, return_counts=True)
    place = int(np.searchsorted(found, value))
    if place == len(found) or found[place] != value:
        return False
    around = [*counts[max(0, place - NEXT_VALUES) : place], *counts[place + 1 : place + 1 + NEXT_VALUES]]
    measured = max(around, default=0)
    return bool(counts[place] > TIMES * measured + FEWEST and measured <= most)


def _blocks(mask: np.ndarray) -> np.ndarray:
    """(I, J, K) bool: voxels of a mask many of whose neighbours lie in it as well."""
    near = mask.view(np.uint8)
    for axis in range(mask.ndim):
        near = ndimage.correlate1d(near, np.ones(3), axis, output=np.uint8, mode="nearest")
    return mask & (near >= LEAST_NEAR)


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
