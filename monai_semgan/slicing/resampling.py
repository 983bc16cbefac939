"""Resampling along one axis as a small matrix: exact about positions, fast, smooth when it shrinks."""

from __future__ import annotations

import numpy as np

HALF_VOXEL = 0.5 + 1e-6


def axis_matrix(source: int, positions: np.ndarray, order: str = "linear") -> np.ndarray:
    """Weights that take `source` samples at 0, 1, 2, ... to samples at `positions`.

    Linear weights are a triangle as wide as the larger of the two sample distances, so shrinking averages what it
    covers (no aliasing) and enlarging interpolates. Samples extend half a sample to either side; rows for positions
    farther out are zero, all others sum to one.

    Args:
        source: number of samples that there are.
        positions: (n,) evenly spaced positions, in units of the source samples; may run backwards.
        order: `linear` or `nearest`.

    Returns:
        (n, source) float32.
    """
    index = np.arange(source)
    inside = (positions >= -HALF_VOXEL) & (positions <= source - 1 + HALF_VOXEL)
    if order == "nearest":
        nearest = np.clip(np.floor(positions + 0.5), 0, source - 1)
        weights = (nearest[:, None] == index[None, :]).astype(np.float64)
    else:
        reach = max(1.0, abs(float(positions[1] - positions[0])) if len(positions) > 1 else 1.0)
        centre = np.clip(positions, 0, source - 1)
        weights = np.clip(1.0 - np.abs(centre[:, None] - index[None, :]) / reach, 0.0, None)
        weights /= weights.sum(axis=1, keepdims=True)
    return (weights * inside[:, None]).astype(np.float32)


def outside(source: int, positions: np.ndarray) -> np.ndarray:
    """(n,) bool: which positions lie more than half a sample beyond the `source` samples."""
    return (positions < -HALF_VOXEL) | (positions > source - 1 + HALF_VOXEL)
