"""What changed between two label maps, in few bytes: enough to go from one to the other and back."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

LEVEL = 6


def between(before: numpy.ndarray, after: numpy.ndarray) -> bytes:
    """Note the voxels in which two label maps of unsigned bytes differ, and what both have there."""
    import numpy as np

    indices = np.flatnonzero(before.reshape(-1) != after.reshape(-1))
    return packed(indices, before.reshape(-1)[indices], after.reshape(-1)[indices])


def packed(indices: numpy.ndarray, before: numpy.ndarray, after: numpy.ndarray) -> bytes:
    """Write voxels (N,), in ascending order, and what they were and are."""
    import numpy as np

    gaps = np.diff(indices, prepend=0).astype("<u4")
    return zlib.compress(gaps.tobytes() + before.astype("u1").tobytes() + after.astype("u1").tobytes(), LEVEL)


def unpacked(change: bytes) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Read voxels (N,), what they were and what they are.

    Raises:
        ValueError: if it is damaged.
    """
    import numpy as np

    try:
        content = zlib.decompress(change)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    count = len(content) // 6
    gaps = np.frombuffer(content, dtype="<u4", count=count)
    values = np.frombuffer(content, dtype="u1", offset=4 * count)
    return np.cumsum(gaps, dtype=np.int64), values[:count], values[count : 2 * count]


def applied(label: numpy.ndarray, change: bytes, backwards: bool = False) -> numpy.ndarray:
    """Copy a label map and change it.

    Raises:
        ValueError: if the change is damaged, or of a larger label map.
    """
    indices, before, after = unpacked(change)
    if indices.size and indices[-1] >= label.size:
        raise ValueError("a change of another label map")
    changed = label.copy()
    changed.reshape(-1)[indices] = before if backwards else after
    return changed
