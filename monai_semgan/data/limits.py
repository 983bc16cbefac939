"""Sizes that headers may declare: what cannot be true is refused before memory is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_semgan.errors import SemganError

MAX_VOXELS = 2**32
"""Eight times a CT of 2,000 slices of 512 x 512; as float32 it would take 16 GB."""

MAX_PIXELS = 10**8
"""Of a single image; the largest radiographs have a quarter of it."""

MAX_INFLATION = 1100
"""Deflate, inside gzip, PNG and zip, makes nothing smaller than by this factor."""

WHAT_HELPS = "the header is damaged: copy or export it again"


def check_voxels(
    shape: Sequence[float],
    path: Path,
    *,
    picture: bool = False,
    voxel_bytes: int = 1,
    stored_bytes: float | None = None,
    compressed: bool = False,
) -> None:
    """Makes sure that the declared size is one of an image, and that the file can hold it.

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
    if stored_bytes is not None and count * voxel_bytes > stored_bytes * (MAX_INFLATION if compressed else 1):
        raise SemganError("the image is cut off: voxels are missing", remedy="copy or export it again", path=path)
