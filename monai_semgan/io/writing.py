"""Writes volumes and labels on exactly the grid of a scan, in the format that the file's ending names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import (
    find_label_check,
    find_label_writer,
    find_writer,
    holds_provenance,
    image2d_endings,
    label_endings,
    writable_endings,
)
from monai_semgan.io.label_ids import mapped_ids
from monai_semgan.io.volume import sheared
from monai_semgan.organs import Segments
from monai_semgan.utils.files import check_output, written_aside

if TYPE_CHECKING:
    from monai_semgan.io.dicom.provenance import Provenance, ResultUids
    from monai_semgan.io.volume import Volume

STRUCTURE_SET = "RTSTRUCT.dcm"
"""Name of the file of a DICOM structure set in its folder."""


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


def write_label(
    array: np.ndarray,
    like: Volume,
    path: str | Path,
    segments: Segments | None = None,
    ids: Mapping[int, int] | None = None,
    provenance: Provenance | None = None,
    uids: ResultUids | None = None,
) -> Path:
    """Write label ids (I, J, K) as uint8, or as int32 where ids are over 255; see `write_volume`.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: see `check_label_output`.
        segments: names of the ids and of the model, for formats that hold them.
        ids: number in the file of each id, for formats whose values are all that tells labels apart; the same when
            left out.
        provenance: how the label was made, for DICOM; other formats do not hold it.
        uids: names of the object in DICOM; new ones when left out.

    Raises:
        SemganError: as `write_volume`; `.dcm` is asked for but the scan is not DICOM. If the label of a DICOM scan
            could not be written for another reason than the disk, it is kept as NIfTI beside, and the message says so.
    """
    path = check_label_output(path)
    write = find_label_writer(path)
    if ids is not None and (write is None or path.name.lower().endswith(image2d_endings())):
        array = mapped_ids(array, ids)
    else:
        array = array.astype(np.uint8, copy=False)
    if write is None:
        return write_volume(array, like, path)
    if array.shape != like.array.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {like.array.shape}")
    if segments is None:
        segments = Segments({int(index): f"label {index}" for index in np.unique(array) if index > 0})
    told = {"provenance": provenance, "uids": uids} if holds_provenance(path) else {}
    try:
        with written_aside(path) as temporary:
            write(array, like, temporary, segments, **told)
    except Exception as error:
        if like.source is None or isinstance(error.__cause__, OSError):  # the disk is full, or cannot be written
            raise
        raise _kept_as_nifti(error, array, like, path) from error
    return path


def _kept_as_nifti(error: Exception, array: np.ndarray, like: Volume, path: Path) -> Exception:
    """Keep a label that a format would not take, and say so; the work of hours may be behind it."""
    kept = path.with_name(f"{path.name}.nii.gz")
    try:
        write_volume(array, like, kept)
    except Exception:  # the first failure tells more
        return error
    problem = error.problem if isinstance(error, SemganError) else f"could not be written ({type(error).__name__})"
    return SemganError(problem, remedy=f"the label was kept as {kept}", path=path)


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
        path = path / STRUCTURE_SET
    if like is not None and like.source is not None:
        inputs += tuple(file.path for file in like.source.files)
    path = check_output(path, label_endings(), inputs)
    check = find_label_check(path)
    if like is not None and check is not None:
        check(like, path)
    return path


def output_notes(path: Path, like: Volume) -> tuple[str, ...]:
    """Sentences on where a result differs: the header of DICOM from that of the scan, other grids from its slices.

    Args:
        path: file of the label, as `check_label_output` returns it.
        like: the scan.
    """
    if like.source is None:
        return ()
    if path.suffix.lower() != ".dcm":
        return _grid_notes(path, like)
    from monai_semgan.io.dicom.result_header import result_header  # noqa: PLC0415 - pydicom takes a while
    from monai_semgan.io.dicom.seg_references import distance_of_planes  # noqa: PLC0415 - as well

    notes, frames = result_header(like.source).notes, like.source.frames
    if path.name.lower() != STRUCTURE_SET.lower() and len(frames) > 1 and distance_of_planes(frames) is None:
        notes += (
            "The slices are unevenly spaced or tilted: .dcm holds the label on them, but programs built on dcmqi, such "
            "as 3D Slicer, may show it elsewhere; check there that it lies on the scan.",
        )
    return notes


def _grid_notes(path: Path, like: Volume) -> tuple[str, ...]:
    """Where a result lies whose format knows no slices."""
    assert like.source is not None
    notes = []
    if like.source.planes is not None:
        notes.append("The label lies on evenly spaced planes: .dcm holds it on the slices of the scan, as they are.")
    if sheared(like.affine):
        what = "not all programs read" if not path.name.lower().endswith((".nii", ".nii.gz")) else "ITK refuses to read"
        notes.append(f"The label lies on a sheared grid, which {what}: .dcm puts it on the slices of the scan.")
    return tuple(notes)


def write_map(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Write a map of real values (I, J, K) as float32; see `write_volume`."""
    return write_volume(array, like, path, np.float32)
