"""Finds the patient's body in a CT or MR volume, to centre slices on it and to scale MR by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_semgan.modalities import CT_WINDOW

CELL_MM = 4.0
"""Edge of the cells on which the body is looked for."""

CT_BODY_HU = -112.0
"""Between air, cut off at the window's lower end (-125 HU), and fat (about -100 HU)."""

OPENING_MM = 8.0
"""Structures thinner than this (table top, blankets, tubes) are cut off the body."""


@dataclass(frozen=True, eq=False)
class Body:
    """Body mask on coarse cells.

    Args:
        mask: (i, j, k) bool, at least one cell is set.
        factors: voxels per cell along each axis.
        shape: (I, J, K) of the volume.
    """

    mask: np.ndarray
    factors: tuple[int, int, int]
    shape: tuple[int, int, int]

    def bounds(self) -> np.ndarray:
        """Lower and upper edge of the bounding box, (2, 3), in voxel coordinates (a voxel spans its index +- 0.5)."""
        edges = []
        for axis, (factor, size) in enumerate(zip(self.factors, self.shape, strict=True)):
            others = tuple(a for a in range(3) if a != axis)
            hit = np.flatnonzero(self.mask.any(axis=others))
            edges.append((hit[0] * factor - 0.5, min((hit[-1] + 1) * factor, size) - 0.5))
        return np.asarray(edges, dtype=np.float64).T

    def values(self, array: np.ndarray) -> np.ndarray:
        """The voxels of `array` (I, J, K) inside the body, every `step`-th of them in large volumes, as (n,)."""
        step = tuple(max(1, factor // 2) for factor in self.factors)
        grids = [np.arange(0, size, s) for size, s in zip(self.shape, step, strict=True)]
        inside = self.mask[np.ix_(*(grid // factor for grid, factor in zip(grids, self.factors, strict=True)))]
        return array[:: step[0], :: step[1], :: step[2]][inside]


def find_body(
    array: np.ndarray, spacing: np.ndarray, modality: str, cell_mm: float = CELL_MM, *, hu_offset: float = 0.0
) -> Body:
    """Largest connected part above air, without table and blankets, holes filled.

    Args:
        array: (I, J, K) voxel values, HU for CT.
        spacing: (3,) mm per voxel.
        modality: `CT` or `MR`.
        cell_mm: edge of the cells that are averaged first.
        hu_offset: what was added to HU, for CT.

    Returns:
        The mask; all cells are set where nothing stands out from the air.
    """
    wanted = np.maximum(1, np.round(cell_mm / spacing)).astype(int)
    i, j, k = np.minimum(wanted, array.shape)
    factors = (int(i), int(j), int(k))
    window = (CT_WINDOW[0] + hu_offset, CT_WINDOW[1] + hu_offset)
    cells = _cell_means(array, factors, window if modality == "CT" else (-np.inf, np.inf))
    mask = cells > (CT_BODY_HU + hu_offset if modality == "CT" else _mr_threshold(cells))
    mask = _solid_part(mask, np.asarray(factors) * spacing)
    return Body(mask if mask.any() else np.ones_like(mask), factors, array.shape)


def _cell_means(array: np.ndarray, factors: tuple[int, ...], limits: tuple[float, float]) -> np.ndarray:
    """Mean of clipped values per cell; cells at the upper ends may be partly filled."""
    starts = [np.arange(0, size, factor) for size, factor in zip(array.shape, factors, strict=True)]
    cells = np.empty([len(s) for s in starts], dtype=np.float32)
    counts = [np.diff(np.append(s, size)).astype(np.float32) for s, size in zip(starts, array.shape, strict=True)]
    for k, first in enumerate(starts[2]):  # a few slices at a time keep the copies small
        block = np.clip(array[:, :, first : first + factors[2]], *limits).astype(np.float32, copy=False).mean(axis=2)
        block = np.add.reduceat(np.add.reduceat(block, starts[0], axis=0), starts[1], axis=1)
        cells[:, :, k] = block / counts[0][:, None] / counts[1][None, :]
    return cells


def _mr_threshold(cells: np.ndarray) -> float:
    """A fraction of the typical bright tissue: air in MR is dark noise, the darkest tissue is well above it."""
    low, high = (float(v) for v in np.percentile(cells, (1, 99)))
    bright = cells[cells > low + 0.1 * (high - low)]
    return low + 0.15 * float(np.median(bright) - low) + 0.02 * (high - low) if bright.size else low


def _solid_part(mask: np.ndarray, cell_size: np.ndarray) -> np.ndarray:
    filled = np.stack([ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)
    radius = np.maximum(0, np.round(0.5 * OPENING_MM / cell_size)).astype(int)
    radius = np.where(np.asarray(mask.shape) > 2 * radius + 1, radius, 0)
    padded = np.pad(filled, [(r, r) for r in radius], mode="edge")
    opened = ndimage.binary_opening(padded, np.ones(2 * radius + 1, dtype=bool))
    opened = opened[tuple(slice(r, n + r) for r, n in zip(radius, mask.shape, strict=True))]
    parts, count = ndimage.label(opened if opened.any() else filled)
    if count < 2:
        return parts > 0
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    return parts == sizes.argmax()
