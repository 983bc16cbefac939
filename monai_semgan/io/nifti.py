"""Reads and writes NIfTI."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.limits import check_voxels, memory_error
from monai_semgan.io.reading import GUESSED
from monai_semgan.io.volume import Volume

UNIT_MM = {1: 1000.0, 3: 0.001}
"""NIfTI's codes of length units other than mm."""


def read_nifti(path: Path) -> Volume:
    """Read NIfTI: affine in mm whatever the header's unit; values in float32, or in int16 where the file holds 8- or
    16-bit numbers without scaling, which takes half the memory.

    Raises:
        SemganError: the file is not NIfTI, or broken, or its header does not say how large a voxel is.
    """
    try:
        with _quiet():
            image: Any = nibabel.load(path)
            stored = image.header.get_data_dtype()
            raw = _raw_header(image)
            _check_size(image, stored, path)
            if stored.kind in "iuf":
                array = _values(image, stored)
            affine = np.array(image.affine, dtype=np.float64)
            unit = int(raw["xyzt_units"]) % 8
    except SemganError:
        raise
    except MemoryError:
        raise memory_error(path) from None
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


def _check_size(image: Any, stored: np.dtype[Any], path: Path) -> None:
    compressed = path.name.lower().endswith(".gz")
    available = path.stat().st_size - (0 if compressed else image.dataobj.offset)
    check_voxels(image.shape, path, voxel_bytes=stored.itemsize, stored_bytes=max(0, available), compressed=compressed)


def _values(image: Any, stored: np.dtype[Any]) -> np.ndarray:
    """Voxels after the header's scaling, as int16 where that holds every value of the stored type."""
    if np.can_cast(stored, np.int16) and (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0):
        return np.array(image.dataobj.get_unscaled(), dtype=np.int16)
    return image.get_fdata(dtype=np.float32, caching="unchanged")


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


def write_nifti(array: np.ndarray, like: Volume, path: Path) -> None:
    """Write an array (I, J, K) on the grid of `like`; sform and qform codes and units stay as they are."""
    nibabel.save(nifti_image(array, like), path)


def nifti_image(array: np.ndarray, like: Volume) -> Any:
    """An array (I, J, K) as nibabel's image on the grid of `like`."""
    affine, header = _placement(like)
    image = nibabel.Nifti1Image(array, affine, header, dtype=array.dtype)
    if header is None:
        for place in (image.set_qform, image.set_sform):
            place(like.affine, "scanner")
        image.header.set_xyzt_units("mm")
    return image


def _placement(like: Volume) -> tuple[np.ndarray | None, Any]:
    """(affine, header) for nibabel: the header's own geometry where there is one, without what names the patient."""
    if not isinstance(like.header, nibabel.Nifti1Header):
        return like.affine, None
    header = nibabel.Nifti1Header.from_header(like.header)
    header.extensions.clear()
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        header[field] = b""
    header["intent_code"] = header["cal_min"] = header["cal_max"] = 0
    return None, header
