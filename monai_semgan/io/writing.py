"""Writes volumes and labels on exactly the grid of a scan, in the format that the file's ending names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.io.formats import (
    find_label_check,
    find_label_writer,
    find_writer,
    label_endings,
    writable_endings,
)
from monai_semgan.organs import Segments
from monai_semgan.utils.files import check_output, written_aside

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume


def write_volume(array: np.ndarray, like: Volume, path: str | Path, dtype: Any = None) -> Path:
    """Write an array on the grid of `like`: same shape, affine, qform and sform codes and units.

    The file appears at once and complete: it is written beside its final place and moved there.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: its ending is one of `monai_semgan.io.formats.writable_endings`.
        dtype: stored type; that of `array` when left out.

    Raises:
        SemganError: the place cannot be written, the disk is full or the ending is unknown.
    """
    if array.shape != like.array.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {like.array.shape}")
    path = check_output(path, writable_endings())
    with written_aside(path) as temporary:
        find_writer(path)(np.asarray(array, dtype=dtype or array.dtype), like, temporary)
    return path


def write_label(array: np.ndarray, like: Volume, path: str | Path, segments: Segments | None = None) -> Path:
    """Write label ids (I, J, K) as uint8; see `write_volume`.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: see `check_label_output`.
        segments: names of the ids and of the model, for formats that hold them.

    Raises:
        SemganError: as `write_volume`; `.dcm` is asked for but the scan is not DICOM.
    """
    path = check_label_output(path)
    write = find_label_writer(path)
    if write is None:
        return write_volume(array, like, path, np.uint8)
    if array.shape != like.array.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {like.array.shape}")
    if segments is None:
        segments = Segments({int(index): f"label {index}" for index in np.unique(array) if index > 0})
    with written_aside(path) as temporary:
        write(array.astype(np.uint8, copy=False), like, temporary, segments)
    return path


def check_label_output(path: str | Path, like: Volume | None = None, inputs: tuple[Path, ...] = ()) -> Path:
    """Make sure, before long computations, that labels of a scan can be written in the format that was asked for.

    Args:
        path: a file with one of `monai_semgan.io.formats.label_endings`, or a folder whose name ends with
            `rtstruct`, into which a DICOM structure set goes.
        like: the scan, if it has been read.
        inputs: files that must not be overwritten.

    Returns:
        The file that will be written.

    Raises:
        SemganError: with the reason.
    """
    path = Path(path)
    if path.name.lower().endswith("rtstruct"):
        path = path / "RTSTRUCT.dcm"
    if like is not None and like.source is not None:
        inputs += tuple(file.path for file in like.source.files)
    path = check_output(path, label_endings(), inputs)
    check = find_label_check(path)
    if like is not None and check is not None:
        check(like, path)
    return path


def write_map(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Write a map of real values (I, J, K) as float32; see `write_volume`."""
    return write_volume(array, like, path, np.float32)
