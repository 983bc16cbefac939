"""Reads volumes with checks that a user can act upon, and writes results on exactly the same grid."""

from __future__ import annotations

import errno
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.errors import SemganError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie in the patient.

    Args:
        array: (I, J, K), float32 for images, integer for labels.
        affine: (4, 4) float64, voxel index to RAS mm.
        path: file it came from.
        header: nibabel header of that file.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path | None = None
    header: Any = None

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
    array, affine, header = _reader(path)(path)
    _check_geometry(affine, path)
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
    return Volume(array, affine, path, header)


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
    return Volume(volume.array.astype(np.uint8 if max_label < 256 else np.int32), *_rest(volume))


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


def check_output(path: str | Path, suffixes: tuple[str, ...] = NIFTI_SUFFIXES, inputs: tuple[Path, ...] = ()) -> Path:
    """Makes sure, before long computations, that a result can be written; creates missing folders.

    Args:
        path: where the result shall go.
        suffixes: endings that can be written.
        inputs: files that must not be overwritten.

    Raises:
        SemganError: with the reason.
    """
    path = Path(os.path.realpath(path))
    if not path.name.lower().endswith(suffixes):
        raise SemganError("unknown file ending", remedy=f"use {' or '.join(suffixes)}", path=path)
    if path.is_dir():
        raise SemganError("is a folder, a file name is needed", path=path)
    if path.exists() and any(Path(p).exists() and os.path.samefile(path, p) for p in inputs):
        raise SemganError("the output would overwrite the input", remedy="choose another output", path=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(error, path) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SemganError("the folder cannot be written", remedy="choose another output folder", path=path)
    return path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and vanishes otherwise.

    Raises:
        SemganError: the block or the move failed for want of space or permission.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _write_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """Array (float32 unless stored as integers without scaling), affine in mm, header."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    problem = "not a readable NIfTI image, or it is cut off"
    try:
        image: Any = nibabel.load(path)
        stored = image.header.get_data_dtype()
        if stored.kind not in "iuf":
            raise SemganError(f"voxels of type {stored} are not supported", remedy="export plain numbers", path=path)
        array = image.get_fdata(dtype=np.float32, caching="unchanged")
    except MemoryError:
        raise SemganError("the image does not fit into memory", path=path) from None
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError) as error:
        raise SemganError(problem, remedy="copy or export it again", path=path) from error
    affine = np.array(image.affine, dtype=np.float64)
    units = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    affine[:3] *= MILLIMETRES.get(units, 1.0)
    return array, affine, image.header


READERS: dict[str, Callable[[Path], tuple[np.ndarray, np.ndarray, Any]]] = dict.fromkeys(NIFTI_SUFFIXES, read_nifti)
"""File ending to reader; a reader returns array, affine (RAS mm) and header."""


def _reader(path: Path) -> Callable[[Path], tuple[np.ndarray, np.ndarray, Any]]:
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


def _rest(volume: Volume) -> tuple[np.ndarray, Path | None, Any]:
    return volume.affine, volume.path, volume.header


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


def _write_error(error: OSError, path: Path) -> SemganError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SemganError("the disk is full", remedy="make room or choose another output", path=path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SemganError("cannot be written: permission denied", remedy="choose another output folder", path=path)
    reason = (error.strerror or str(error)).lower()
    return SemganError(f"cannot be written: {reason}", remedy="choose another output", path=path)
