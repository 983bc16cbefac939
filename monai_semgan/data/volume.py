"""Reads volumes with checks that a user can act upon, and writes results on exactly the same grid."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.data.output import NIFTI_SUFFIXES, check_output, written_aside
from monai_semgan.errors import SemganError

__all__ = [
    "Volume",
    "check_output",
    "read_label",
    "read_volume",
    "write_label",
    "write_map",
    "write_volume",
    "written_aside",
]

UNIT_MM = {1: 1000.0, 3: 0.001}
"""NIfTI's codes of length units other than mm."""

GUESSED = "The file does not say how the patient lies: axes right to left, back to front, feet to head are assumed."


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie in the patient.

    Args:
        array: (I, J, K), float32 for images, integer for labels.
        affine: (4, 4) float64, voxel index to RAS mm.
        path: file it came from.
        header: nibabel header of that file.
        notes: what a user should know about it, one sentence each.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path | None = None
    header: Any = None
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm between neighbouring voxels."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def read_volume(path: str | Path, *, integer: bool = False) -> Volume:
    """Reads an image.

    Args:
        path: a file of one of the formats in :data:`READERS`.
        integer: for labels: keep whole numbers as int32 and allow a constant array.

    Raises:
        SemganError: the file is missing, unreadable, not 3D, or holds values or a geometry that cannot be used.
    """
    path = Path(path)
    volume = _reader(path)(path)
    array = volume.array
    _check_geometry(volume.affine, path)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        found = f"{array.ndim}-dimensional image of shape {'x'.join(map(str, array.shape))}"
        raise SemganError(f"{found}, but a volume has 3 dimensions", remedy="give one 3D volume", path=path)
    if 0 in array.shape:
        raise SemganError("the image holds no voxels", path=path)
    _check_values(array, path)
    if integer:
        array = _whole_numbers(array, path)
    elif array.size > 1 and array.min() == array.max():
        raise SemganError(
            f"all voxels have the same value {array.flat[0]:g}",
            remedy="check that the right file was exported",
            path=path,
        )
    return replace(volume, array=array)


def read_label(path: str | Path, like: Volume | None = None, max_label: int = 255) -> Volume:
    """Reads a label map.

    Args:
        path: file of whole numbers, 0 is background.
        like: the image it belongs to; the grids have to agree.
        max_label: the largest id that is accepted.

    Raises:
        SemganError: as :func:`read_volume`; ids are out of range; the grid differs from that of ``like``.
    """
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
        _check_same_grid(volume, like)
    return replace(volume, array=volume.array.astype(np.uint8 if max_label < 256 else np.int32))


def write_volume(array: np.ndarray, like: Volume, path: str | Path, dtype: Any = None) -> Path:
    """Writes an array on the grid of ``like``: same shape, affine, qform and sform codes and units.

    The file appears at once and complete: it is written beside its final place and moved there.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: ``.nii`` or ``.nii.gz``.
        dtype: stored type; that of ``array`` when left out.

    Raises:
        SemganError: the place cannot be written, the disk is full or the ending is unknown.
    """
    import nibabel

    if array.shape != like.array.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {like.array.shape}")
    path = check_output(path)
    dtype = np.dtype(dtype or array.dtype)
    image = nibabel.Nifti1Image(np.asarray(array, dtype=dtype), *_placement(like), dtype=dtype)
    with written_aside(path) as temporary:
        nibabel.save(image, temporary)
    return path


def write_label(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Writes label ids (I, J, K) as uint8; see :func:`write_volume`."""
    return write_volume(array, like, path, np.uint8)


def write_map(array: np.ndarray, like: Volume, path: str | Path) -> Path:
    """Writes a map of real values (I, J, K) as float32; see :func:`write_volume`."""
    return write_volume(array, like, path, np.float32)


def read_nifti(path: Path) -> Volume:
    """Reads NIfTI: float32 values, affine in mm whatever the header's unit.

    Raises:
        SemganError: the file is not NIfTI, or broken, or its header does not say how large a voxel is.
    """
    import nibabel

    try:
        with _quiet():
            image: Any = nibabel.load(path)
            stored = image.header.get_data_dtype()
            raw = _raw_header(image)
            if stored.kind in "iuf":
                array = image.get_fdata(dtype=np.float32, caching="unchanged")
            affine = np.array(image.affine, dtype=np.float64)
            unit = int(raw["xyzt_units"]) % 8
    except MemoryError:
        raise SemganError("the image does not fit into memory", path=path) from None
    except Exception as error:  # nibabel has no common class for what damaged files make it raise
        problem = "not a readable NIfTI image, or it is cut off"
        raise SemganError(problem, remedy="copy or export it again", path=path) from error
    if stored.kind not in "iuf":
        raise SemganError(f"voxels of type {stored} are not supported", remedy="export plain numbers", path=path)
    zooms = np.asarray(raw["pixdim"][1:4], dtype=np.float64)
    if raw["sform_code"] <= 0 and not (np.isfinite(zooms).all() and np.abs(zooms).min() > 0):
        given = " x ".join(f"{zoom:g}" for zoom in zooms)
        raise SemganError(f"voxel spacing {given} mm is not possible", remedy="correct the header", path=path)
    affine[:3] *= UNIT_MM.get(unit, 1.0)
    placed = max(raw["sform_code"], raw["qform_code"]) > 0
    return Volume(array, affine, path, image.header, () if placed else (GUESSED,))


@contextmanager
def _quiet() -> Iterator[None]:
    """nibabel reports on stderr what it mends in headers; what matters is checked here."""
    logger = logging.getLogger("nibabel.global")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _raw_header(image: Any) -> Any:
    """The header as stored: nibabel turns a spacing of 0 into 1 without saying so."""
    with image.file_map.get("header", image.file_map["image"]).get_prepare_fileobj("rb") as stream:
        return type(image.header).from_fileobj(stream, check=False)


READERS: dict[str, Callable[[Path], Volume]] = dict.fromkeys(NIFTI_SUFFIXES, read_nifti)
"""File ending to reader; what a reader returns is checked by :func:`read_volume`."""


def _reader(path: Path) -> Callable[[Path], Volume]:
    if not path.exists():
        raise SemganError("no such file", remedy="check the path", path=path)
    if path.is_dir():
        raise SemganError("is a folder, not an image file", remedy="give a file", path=path)
    if path.stat().st_size == 0:
        raise SemganError("the file is empty", remedy="copy or export it again", path=path)
    if not os.access(path, os.R_OK):
        raise SemganError("no permission to read the file", path=path)
    for suffix, reader in READERS.items():
        if path.name.lower().endswith(suffix):
            return reader
    raise SemganError("unknown file ending", remedy=f"supported are {', '.join(READERS)}", path=path)


def _check_geometry(affine: np.ndarray, path: Path) -> None:
    if not np.isfinite(affine).all():
        raise SemganError("position and spacing in the header are not numbers", remedy="export it again", path=path)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-4:
        given = " x ".join(f"{s:g}" for s in spacing)
        raise SemganError(f"voxel spacing {given} mm is not possible", remedy="correct the header", path=path)
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise SemganError("the axes in the header do not span a volume", remedy="correct the header", path=path)


def _check_values(array: np.ndarray, path: Path) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            raise SemganError(
                f"{bad} voxels are NaN or infinite", remedy="replace them, for example by the value of air", path=path
            )


def _whole_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    whole = np.rint(array)
    if np.abs(array - whole).max() > 1e-3 or np.abs(whole).max() > 2**24:
        raise SemganError("label ids are not whole numbers", remedy="check that this is a label map", path=path)
    return whole.astype(np.int32)


def _check_same_grid(label: Volume, image: Volume) -> None:
    remedy = "resample the label onto the image's grid"
    if label.array.shape != image.array.shape:
        shapes = " and ".join("x".join(map(str, v.array.shape)) for v in (label, image))
        raise SemganError(f"label and image differ in shape: {shapes}", remedy=remedy, path=label.path)
    corners = np.array([[0, 0, 0, 1], [*np.asarray(image.array.shape) - 1, 1]], dtype=np.float64).T
    if np.abs((label.affine - image.affine) @ corners).max() > max(0.5, 0.5 * float(image.spacing.min())):
        raise SemganError("label and image lie at different places", remedy=remedy, path=label.path)


def _placement(like: Volume) -> tuple[np.ndarray | None, Any]:
    """(affine, header) for nibabel: the header's own geometry where there is one, without what names the patient."""
    import nibabel

    if not isinstance(like.header, nibabel.Nifti1Header):
        return like.affine, None
    header = nibabel.Nifti1Header.from_header(like.header)
    header.extensions.clear()
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        header[field] = b""
    header["intent_code"] = header["cal_min"] = header["cal_max"] = 0
    return None, header
