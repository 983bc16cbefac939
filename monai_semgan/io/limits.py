"""Sizes that headers may declare: what cannot be true is refused before memory is taken for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monai_semgan.errors import SemganError

MAX_VOXELS = 2**32
"""Eight times a CT of 2,000 slices of 512 x 512."""

MAX_PIXELS = 10**8
"""Of a single image; the largest radiographs have a quarter of it."""

MAX_INFLATION = 1100
"""Deflate, inside gzip, PNG and zip, makes nothing smaller than by this factor."""

USUAL_INFLATION = 200
"""Scans shrink to a half or a third; more than this in anything large is no scan. Label maps may shrink further."""

FREE_BYTES = 256 << 20
"""Archives that unpack to no more than this may grow by any factor."""

LABEL_VOXELS = 2**30
"""Compressed volumes of no more voxels (4,000 slices of 512 x 512) may grow by any factor: they may be label maps."""

VALUE_BYTES = 2
"""Of a voxel in memory, at the least."""

MORE_MEMORY = "crop the volume, or use a machine with more memory"
WHAT_HELPS = "the header is damaged: copy or export it again"


def check_voxels(
    shape: Sequence[float],
    path: Path,
    *,
    picture: bool = False,
    voxel_bytes: float = 1,
    stored_bytes: float | None = None,
    compressed: bool = False,
) -> None:
    """Make sure that the declared size is one of an image, that the file can hold it, and memory too.

    Args:
        shape: voxels along each axis.
        path: what messages name.
        picture: a single image by projection.
        voxel_bytes: of a voxel before compression.
        stored_bytes: what is there, if it is known.
        compressed: whether that is compressed by deflate.

    Raises:
        SemganError: it is not.
    """
    count = 1.0
    for size in shape:
        count *= max(float(size), 0.0)
    declared = " x ".join(f"{size:.0f}" for size in shape)
    if count > (MAX_PIXELS if picture else MAX_VOXELS):
        raise SemganError(f"declares {declared} voxels, too many for an image", remedy=WHAT_HELPS, path=path)
    if stored_bytes is not None:
        _check_stored(count, count * voxel_bytes, stored_bytes, compressed, path)
    needed, memory = count * VALUE_BYTES, memory_bytes()
    if needed > memory:
        problem = f"{declared} voxels take {needed / 2**30:.1f} GB, this machine has {memory / 2**30:.1f} GB"
        raise SemganError(problem, remedy=MORE_MEMORY, path=path)


def _check_stored(count: float, needed: float, stored: float, compressed: bool, path: Path) -> None:
    if needed > stored * (MAX_INFLATION if compressed else 1):
        raise SemganError("the image is cut off: voxels are missing", remedy="copy or export it again", path=path)
    if compressed and count > LABEL_VOXELS and needed > stored * USUAL_INFLATION:
        raise SemganError(
            f"would unpack to {needed / 2**30:.1f} GB, {needed / stored:.0f} times its size: no scan shrinks that much",
            remedy="save it without compression if you trust it",
            path=path,
        )


def memory_error(path: Path) -> SemganError:
    """What is told when memory runs out while a file is read."""
    return SemganError("does not fit into memory", remedy=MORE_MEMORY, path=path)


def memory_bytes() -> float:
    """Memory of the machine, or of the container; infinite where that cannot be told."""
    try:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # no POSIX
        return float("inf")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(memory, float(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return memory
