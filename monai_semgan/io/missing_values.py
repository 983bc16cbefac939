"""Voxels that are no numbers: where a registration or a scanner saw nothing they are filled, in the body refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from monai_semgan.errors import SemganError

REMEDY = "replace them, for example by the value of air"


def filled(array: np.ndarray, value: float | None, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put a value where NaN reaches in from the border of a volume.

    Args:
        array: (I, J, K).
        value: what to put there; the lowest one of the volume when left out.
        path: what messages name.

    Returns:
        The array, changed in place if it can be, and notes.

    Raises:
        SemganError: voxels are infinite, or NaN away from the border, or all are NaN.
    """
    if array.dtype.kind != "f" or np.isfinite(array.sum(dtype=np.float64)):
        return array, ()
    missing = np.isnan(array)
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if not bad:  # finite values may have a sum that is not
        return array, ()
    if np.count_nonzero(missing) != bad or bad == array.size:
        raise SemganError(f"{bad} voxels are NaN or infinite", remedy=REMEDY, path=path)
    inside = int(np.count_nonzero(missing & ~_from_border(missing)))
    if inside:
        problem = f"{inside} voxels are NaN or infinite, away from the border of the image"
        raise SemganError(problem, remedy=REMEDY, path=path)
    lowest = float(np.nanmin(array)) if value is None else value
    if not array.flags.writeable:
        array = array.copy()
    array[missing] = lowest
    share = 100.0 * bad / array.size
    amount = f"{share:.0f} % of the voxels" if share >= 1 else f"{bad} voxels"
    return array, (f"{amount}, at the border, are no numbers (NaN): {lowest:g} is taken in their place.",)


def _from_border(missing: np.ndarray) -> np.ndarray:
    """Those that hang together with one on the border; ends of the shortest axis, mostly slices of a body, are none."""
    border = np.zeros(missing.shape, dtype=bool)
    shortest = int(np.argmin(missing.shape[::-1]))  # of equal ones the last
    for axis in set(range(3)) - {2 - shortest}:
        border.swapaxes(0, axis)[[0, -1]] = True
    reached: np.ndarray = ndimage.binary_propagation(border & missing, mask=missing)
    return reached
