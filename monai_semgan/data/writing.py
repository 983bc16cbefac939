"""Writes volumes and labels on exactly the grid of a scan, in the format that the file's ending names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.data.formats import find_writer
from monai_semgan.data.output import check_output, written_aside

if TYPE_CHECKING:
    from monai_semgan.data.volume import Volume


def write_volume(array: np.ndarray, like: Volume, path: str | Path, dtype: Any = None) -> Path:
    """Writes an array on the grid of ``like``: same shape, affine, qform and sform codes and units.

    The file appears at once and complete: it is written beside its final place and moved there.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: its ending is one of :data:`monai_semgan.data.output.VOLUME_SUFFIXES`.
        dtype: stored type; that of ``array`` when left out.

    Raises:
        SemganError: the place cannot be written, the disk is full or the ending is unknown.
    """
    if array.shape != like.array.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {like.array.shape}")
    path = check_output(path)
    with written_aside(path) as temporary:
        find_writer(path)(np.asarray(array, dtype=dtype or array.dtype), like, temporary)
    return path


def write_label(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Writes label ids (I, J, K) as uint8; see :func:`write_volume`."""
    return write_volume(array, like, path, np.uint8)


def write_map(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Writes a map of real values (I, J, K) as float32; see :func:`write_volume`."""
    return write_volume(array, like, path, np.float32)
