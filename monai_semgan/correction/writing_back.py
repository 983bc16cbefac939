"""Changes of slices, written into the label on the scan's own grid; all other voxels stay as they are."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_semgan.correction.following import SliceChange
from monai_semgan.correction.slice_grid import SliceGrid
from monai_semgan.correction.wishes import Wish


def write_change(label: np.ndarray, change: SliceChange, wish: Wish, grid: SliceGrid, kept: np.ndarray) -> bool:
    """Write the change of one slice.

    Args:
        label: ids `(I, J, K)`, changed in place.
        change: of the slice.
        wish: that it comes from.
        grid: of the slices.
        kept: `(I, J, K)` bool, voxels that stay.

    Returns:
        Whether a voxel has changed.
    """
    if not change.changed.any():
        return False
    zone = ndimage.binary_dilation(change.changed)
    box, target = grid.to_voxels(change.target, change.number, zone)
    if not target.size:
        return False
    _, nearness = grid.to_voxels(zone.astype(np.float32), change.number, zone)
    piece = label[box]
    wins = (target > 0.5) if wish.positive else (target < 0.5)
    changing = wins & (nearness > 0.5) & np.isin(piece, wish.donors) & ~kept[box]
    piece[changing] = wish.structure if wish.positive else 0
    return bool(changing.any())
