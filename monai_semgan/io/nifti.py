"""Reads NIfTI, also as a pair of files, and Analyze; writes NIfTI."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader

from monai_semgan.errors import SemganError
from monai_semgan.io.limits import check_voxels, memory_error
from monai_semgan.io.nifti_forms import NIBABEL_LOG, mended, place_of
from monai_semgan.io.volume import Place, Volume, sheared
from monai_semgan.utils.loggers import silenced

GZIP = b"\x1f\x8b"

HALVES = {".hdr": ".img", ".img": ".hdr"}
"""Files of a pair: the header, and the voxels."""

ANALYZE_NOTE = "The file is Analyze 7.5, which has no scaling that all programs share: values are taken as stored."


@dataclass(frozen=True)
class _Stored:
    """A header, and how its voxels are stored: for `ArrayProxy` in this order."""

    header: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    notes: tuple[str, ...]


def read_nifti(path: Path) -> Volume:
    """Read NIfTI: affine in mm whatever the header's unit; values in float32, or in int16 where the file holds 8- or
    16-bit numbers without scaling, which takes half the memory.

    The content tells whether a file is compressed, whatever its name says. Of a pair either file may be given; a pair
    may also be Analyze. See `nifti_forms` for where the voxels lie.

    Raises:
        SemganError: the file is not NIfTI, or broken, or its header does not say how large a voxel is.
    """
    header_path, data_path = _files(path)
    try:
        with silenced(NIBABEL_LOG):
            stored = _read_header(header_path, path)
            _check_size(stored, data_path, path)
            array = _values(stored, data_path) if stored.dtype.kind in "iuf" else None
            place = place_of(stored.header, path)
    except SemganError:
        raise
    except MemoryError:
        raise memory_error(path) from None
    except Exception as error:  # nibabel has no common class for what damaged files make it raise
        problem = "not a readable NIfTI image, or it is cut off"
        raise SemganError(problem, remedy="copy or export it again", path=path) from error
    if array is None:
        problem = f"voxels of type {stored.dtype} are not supported"
        raise SemganError(problem, remedy="export plain numbers", path=path)
    notes = (*place.notes, *stored.notes)
    return Volume(array, place.affine, path, stored.header, notes, other_affines=place.others)


def read_nifti_place(path: Path) -> tuple[tuple[int, ...], Place, Any]:
    """Read size and place of an image from its header alone, and nibabel's header as it is stored.

    Raises:
        SemganError: as `read_nifti`.
        Exception: what nibabel makes of a damaged file.
    """
    with silenced(NIBABEL_LOG):
        stored = _read_header(_files(path)[0], path)
        return stored.shape, place_of(stored.header, path), stored.header


def _files(path: Path) -> tuple[Path, Path]:
    """Files of the header and of the voxels: the same one, or a pair."""
    stem, gz = (path.with_suffix(""), path.suffix) if path.suffix.lower() == ".gz" else (path, "")
    half = HALVES.get(stem.suffix.lower())
    if half is None:
        return path, path
    half = half.upper() if stem.suffix.isupper() else half
    names = [f"{stem.stem}{half}{end}" for end in (gz, "" if gz else ".gz")]
    other = next((found for name in names if (found := path.with_name(name)).is_file()), None)
    if other is None:
        what = "voxels" if half.lower() == ".img" else "header"
        raise SemganError(f"the file of its {what}, {names[0]}, is missing", remedy="copy both files", path=path)
    return (path, other) if half.lower() == ".img" else (other, path)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with open(path, "rb") as plain:
        compressed = plain.read(2) == GZIP
        plain.seek(0)
        if not compressed:
            yield plain
            return
        with gzip.open(plain) as stream:
            yield stream


def _read_header(file: Path, path: Path) -> _Stored:
    """The header as stored, for what nibabel mends in silence (a spacing of 0 becomes 1) matters here."""
    with _opened(file) as stream:
        block = stream.read(nibabel.Nifti2Header.sizeof_hdr)
    header, notes = _parsed(block, file.name.lower().endswith((".nii", ".nii.gz")), path)
    fixed = mended(header)
    fixed.check_fix(error_level=40)
    slope, inter, remarks = _scaling(header, path)
    shape, dtype, offset = tuple(map(int, fixed.get_data_shape())), fixed.get_data_dtype(), fixed.get_data_offset()
    if header.is_single:
        offset = max(offset, header.single_vox_offset)  # some programs leave 0
    return _Stored(header, shape, dtype, offset, slope, inter, (*notes, *remarks))


def _parsed(block: bytes, single: bool, path: Path) -> tuple[Any, tuple[str, ...]]:
    """The header, and notes."""
    ones, pairs = (nibabel.Nifti1Header, nibabel.Nifti2Header), (Nifti1PairHeader, Nifti2PairHeader)
    for kind in ones if single else pairs:
        if kind.may_contain_header(block):
            return kind(block[: kind.sizeof_hdr], check=False), ()
    if single or not nibabel.AnalyzeHeader.may_contain_header(block):
        raise ValueError("no header of NIfTI")
    return _as_nifti(nibabel.AnalyzeHeader(block[: nibabel.AnalyzeHeader.sizeof_hdr], check=False), path)


def _as_nifti(analyze: Any, path: Path) -> tuple[Any, tuple[str, ...]]:
    """A header of Analyze as one of NIfTI that does not say how the patient lies."""
    unit = bytes(analyze["vox_units"]).rstrip(b"\0 ").lower()
    if unit in (b"cm", b"m", b"um", b"micron", b"microns"):
        problem = f"the header gives lengths in {unit.decode()}, which programs take for mm"
        raise SemganError(problem, remedy="export it again as NIfTI", path=path)
    header = Nifti1PairHeader(endianness=analyze.endianness)
    for field in ("dim", "datatype", "bitpix"):
        header[field] = analyze[field]
    header["pixdim"][1:] = analyze["pixdim"][1:]
    header["vox_offset"] = analyze["vox_offset"]
    return header, (ANALYZE_NOTE,)


def _scaling(header: Any, path: Path) -> tuple[float, float, tuple[str, ...]]:
    """Slope and intercept that values are scaled by, and notes: a slope of 0 or no number means none of both."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        told = np.isfinite(inter) and inter != 0
        note = f"The header's intercept of {inter:g} has no slope: as NIfTI has it, it is not added; 3D Slicer adds it."
        return 1.0, 0.0, (note,) if told else ()
    if np.isfinite(inter):
        return slope, inter, ()
    if slope == 1:
        return 1.0, 0.0, ("The header's intercept is no number: it is not added.",)
    problem = f"the header scales values by {slope:g} and adds what is no number (scl_inter)"
    raise SemganError(problem, remedy="correct the header", path=path)


def _check_size(stored: _Stored, file: Path, path: Path) -> None:
    with open(file, "rb") as stream:
        compressed = stream.read(2) == GZIP
    available = file.stat().st_size - (0 if compressed else stored.offset)
    check_voxels(
        stored.shape,
        path,
        voxel_bytes=stored.dtype.itemsize,
        stored_bytes=max(0, available),
        compressed=compressed,
    )


def _values(stored: _Stored, file: Path) -> np.ndarray:
    """Voxels after the header's scaling, as int16 where that holds every value of the stored type."""
    spec = (stored.shape, stored.dtype, stored.offset, stored.slope, stored.inter)
    with _opened(file) as stream:
        named = file.name.lower().endswith(".gz")
        proxy = ArrayProxy(str(file) if isinstance(stream, gzip.GzipFile) == named else stream, spec)
        if np.can_cast(stored.dtype, np.int16) and (stored.slope, stored.inter) == (1.0, 0.0):
            return np.array(proxy.get_unscaled(), dtype=np.int16)
        return np.asanyarray(proxy, dtype=np.float32)


def write_nifti(array: np.ndarray, like: Volume, path: Path) -> None:
    """Write an array (I, J, K) on the grid of `like`; sform and qform codes and units stay as they are."""
    nibabel.save(nifti_image(array, like), path)


def nifti_image(array: np.ndarray, like: Volume) -> Any:
    """An array (I, J, K) as nibabel's image on the grid of `like`."""
    affine, header = _placement(like)
    with silenced(NIBABEL_LOG):
        image: Any = nibabel.Nifti1Image(array, affine, header, dtype=array.dtype)
    if header is not None:  # as stored: other programs see the result where they see the scan
        image.header["pixdim"][:4] = header["pixdim"][:4]
        for code in ("qform_code", "sform_code"):
            image.header[code] = header[code]
    else:
        for place in (image.set_qform, image.set_sform):
            place(like.affine, "scanner")
        if sheared(like.affine):  # a qform has no shear: it would put the voxels elsewhere
            image.header["qform_code"] = 0
        image.header.set_xyzt_units("mm")
    return image


def _placement(like: Volume) -> tuple[np.ndarray | None, Any]:
    """(affine, header) for nibabel: the header's own geometry where there is one, without what names the patient."""
    if not isinstance(like.header, nibabel.Nifti1Header):
        return like.affine, None
    header = _single(like.header)
    header.extensions.clear()
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        header[field] = b""
    header["intent_code"] = header["cal_min"] = header["cal_max"] = header["vox_offset"] = 0
    return None, header


def _single(header: Any) -> Any:
    """A copy as header of a single NIfTI-1 file; nibabel's own conversion from other kinds forgets the forms."""
    if type(header) is nibabel.Nifti1Header:
        return header.copy()
    copied = nibabel.Nifti1Header(endianness=header.endianness)
    for field in set(copied.keys()) & set(header.keys()) - {"sizeof_hdr", "magic", "dim"}:
        copied[field] = header[field]
    return copied
