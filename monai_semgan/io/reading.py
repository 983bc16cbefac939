"""Read volumes and labels with checks that a user can act upon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import find_reader, find_segment_reader
from monai_semgan.io.label_ids import id_type
from monai_semgan.io.missing_values import filled
from monai_semgan.io.placement import on_grid_of
from monai_semgan.io.volume import Volume

ANY_ID = 2**31 - 1
"""The largest label id that any file may hold here."""

GUESSED = "The file does not say how the patient lies: axes right to left, back to front, feet to head are assumed."


def read_volume(
    path: str | Path, *, integer: bool = False, series: str | None = None, resample: bool = False
) -> Volume:
    """Read an image.

    Args:
        path: a file of one of the formats of `monai_semgan.io.formats`, or a folder of DICOM files.
        integer: for labels: keep whole numbers as int32 and allow a constant array.
        series: UID or number of a DICOM series, and which of its volumes, such as `7/echo=2`; the largest CT or MR
            that is a volume when left out.
        resample: take DICOM slices too that are tilted against their stack or unevenly spaced, or among which some are
            missing. Labels of them can be written onto the slices as they are (`.dcm`).

    Raises:
        SemganError: the file is missing, unreadable, not 3D, or holds values or a geometry that cannot be used.
    """
    path = Path(path)
    volume = find_reader(path, series, integer, resample)(path)
    array = volume.array
    check_geometry(volume.affine, path)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        found = f"{array.ndim}-dimensional image of shape {'x'.join(map(str, array.shape))}"
        raise SemganError(f"{found}, but a volume has 3 dimensions", remedy="give one 3D volume", path=path)
    if 0 in array.shape:
        raise SemganError("the image holds no voxels", remedy="export it again", path=path)
    array, notes = filled(array, 0 if integer else None, path)
    if integer:
        array = _whole_numbers(array, path)
    elif array.size > 1 and array.min() == array.max() and (volume.colour is None or _one_value(volume.colour)):
        raise SemganError(
            f"all voxels have the same value {array.flat[0]:g}",
            remedy="check that the right file was exported",
            path=path,
        )
    return replace(volume, array=array, notes=(*volume.notes, *notes))


def read_label(
    path: str | Path, like: Volume | None = None, max_label: int = 255, names: Mapping[int, str] | None = None
) -> Volume:
    """Read a label map.

    Args:
        path: file of whole numbers, 0 is background; or of named segments: DICOM SEG, `.seg.nrrd`.
        like: the image it belongs to, whose grid the label gets: it has to fill the same points in space, in whatever
            order and direction its axes are stored; `.seg.nrrd`, which 3D Slicer crops to what is segmented, may fill
            a part. DICOM SEG cannot be read without it.
        max_label: the largest id that is accepted; where it is over 255, and the file holds such ids, they come as
            int32, else as uint8.
        names: organ name by label id: named segments are read by these, or by their codes. Without names the values
            in `.seg.nrrd` are the ids, and DICOM SEG is refused.

    Raises:
        SemganError: as `read_volume`; ids are out of range; it lies on another grid than `like`; there are
            segments, but none of the names.
    """
    path = Path(path)
    volume = _read_segments(path, like, names)
    if volume is None:
        volume = read_volume(path, integer=True)
    low, high = int(volume.array.min()), int(volume.array.max())
    if low < 0 or high > max_label:
        wrong = low if low < 0 else high
        raise SemganError(
            f"label id {wrong} is out of range 0 to {max_label}",
            remedy="check that this is a label map",
            path=volume.path,
        )
    if like is not None:
        volume = on_grid_of(volume, like, part=is_cropped_format(path))
    return replace(volume, array=volume.array.astype(id_type(high)))


def is_cropped_format(path: Path) -> bool:
    """Tell whether files of this format hold only the part of the grid in which something is segmented."""
    return path.name.lower().endswith(".seg.nrrd")


def _read_segments(path: Path, like: Volume | None, names: Mapping[int, str] | None) -> Volume | None:
    """Labels by name; None for files whose values are ids."""
    find_reader(path, label=True)  # tells what is wrong with the file as such
    reader = find_segment_reader(path)
    if reader is None or (names is None and path.name.lower().endswith(".nrrd")):
        return None
    if names is None:
        raise SemganError(
            "holds named segments, and nothing tells which organs are meant",
            remedy='add "labels": {"1": "liver", ...} to the data list',
            path=path,
        )
    volume: Volume = reader(path, like, names)
    return volume


def check_geometry(affine: np.ndarray, path: Path) -> None:
    """Make sure that an affine puts voxels somewhere.

    Raises:
        SemganError: it holds no numbers, or its axes span no volume.
    """
    if not np.isfinite(affine).all():
        raise SemganError("position and spacing in the header are not numbers", remedy="export it again", path=path)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-4:
        given = " x ".join(f"{s:g}" for s in spacing)
        raise SemganError(f"voxel spacing {given} mm is not possible", remedy="correct the header", path=path)
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise SemganError("the axes in the header do not span a volume", remedy="correct the header", path=path)


def _one_value(colours: np.ndarray) -> bool:
    """Whether all pixels of (3, I, J, K) have one colour."""
    return bool((colours == colours[:, :1, :1, :1]).all())


def _whole_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind in "iu":
        return array
    whole = np.rint(array)
    if np.abs(array - whole).max() > 1e-3 or np.abs(whole).max() > 2**24:
        raise SemganError("label ids are not whole numbers", remedy="check that this is a label map", path=path)
    return whole.astype(np.int32)
