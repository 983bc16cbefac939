"""What a box says: in its slices the structure lies inside of it, or nothing of it does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_semgan.correction.strokes import Stroke


def expanded(strokes: Sequence[Stroke], label: np.ndarray, through: int) -> list[Stroke]:
    """Put in place of every box the voxels that it takes away from its structure, as a negative lasso.

    Positive boxes stay as well, in front of that: what they say of their inside is no voxel's label.

    Args:
        strokes: in their order.
        label: ids `(I, J, K)` as they stand.
        through: axis across the model's slices, for boxes that tell no plane of their own.
    """
    found: list[Stroke] = []
    for stroke in strokes:
        if stroke.kind != "box":
            found.append(stroke)
            continue
        if stroke.positive:
            found.append(stroke)
        taken = np.argwhere(_denied(stroke, label.shape, through) & (label == stroke.structure))
        if len(taken):
            found.append(Stroke(stroke.structure, taken, positive=False, kind="lasso"))
    return found


def normal_of(box: Stroke, through: int) -> int:
    """Find the axis of the scan across a box: the one along which it has one voxel, else the model's."""
    flat = np.flatnonzero(np.ptp(box.voxels, axis=0) == 0)
    return int(flat[0]) if len(flat) == 1 else through


def _denied(box: Stroke, shape: tuple[int, ...], through: int) -> np.ndarray:
    """Voxels `(I, J, K)` where the structure of a box cannot be."""
    inside = np.zeros(shape, dtype=bool)
    inside[tuple(box.voxels.T)] = True
    if not box.positive:
        return inside
    axis = normal_of(box, through)
    slab = [slice(None)] * 3
    slab[axis] = slice(int(box.voxels[:, axis].min()), int(box.voxels[:, axis].max()) + 1)
    denied = np.zeros(shape, dtype=bool)
    denied[tuple(slab)] = ~inside[tuple(slab)]
    return denied
