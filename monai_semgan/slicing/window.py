"""Input values that become -1 and 1, and the scaling between them."""

from __future__ import annotations

import numpy as np

from monai_semgan.modalities import MR_PERCENTILES


def percentile_range(values: np.ndarray, percentiles: tuple[float, float] = MR_PERCENTILES) -> tuple[float, float]:
    """Robust lowest and highest value; never an empty range.

    Args:
        values: voxel values, of any shape; at most about a million of them are looked at.
        percentiles: lower and upper percentile in percent.
    """
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // 1_000_000)]
    low, high = (float(v) for v in np.percentile(sample, percentiles))
    if high <= low:
        low, high = float(flat.min()), float(flat.max())
    return (low, high) if high > low else (low, low + 1.0)


def rescale(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low .. high` linearly to -1 .. 1 and clip what lies outside.

    Returns:
        A new float32 array of the same shape.
    """
    scaled = array.astype(np.float32)
    scaled -= low
    scaled *= 2.0 / (high - low)
    scaled -= 1.0
    return np.clip(scaled, -1.0, 1.0, out=scaled)
