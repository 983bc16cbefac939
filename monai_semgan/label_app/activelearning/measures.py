"""Numbers that rank unlabelled images: the higher, the more there is to learn from labelling one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from monai_semgan.quality.overlap import dice


def disagreement(one: np.ndarray, other: np.ndarray, organs: Collection[int]) -> float:
    """Measure how differently two segmentations of an image name its voxels.

    Args:
        one: label ids `(I, J, K)`.
        other: label ids `(I, J, K)` on the same grid.
        organs: ids that count.

    Returns:
        One minus the mean Dice of the organs that at least one of the two shows: 0 (the same) to 1 (nothing in
        common); 0 where neither shows any.
    """
    values = [dice(one == index, other == index) for index in organs]
    shown = [value for value in values if not np.isnan(value)]
    return 1.0 - float(np.mean(shown)) if shown else 0.0
