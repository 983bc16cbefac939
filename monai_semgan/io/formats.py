"""Which function reads and writes which kind of file: one registry, by the end of the name.

A format from outside the package registers its functions and works everywhere, in reading, writing, cohorts and
servers:

    @register_reader(".xyz")
    def read_xyz(path: Path) -> Volume: ...

The formats that come along stand in the tables below by name only, so that the libraries behind them are imported when
a file needs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from monai_semgan.errors import SemganError

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

DICOM = "dicom.series_reader.read_dicom"
"""Also reads folders, and files without ending that carry the mark of DICOM."""

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""Endings of pictures as programs for photographs write them."""

_READERS: dict[str, Function | str] = {
    ".nii": "nifti.read_nifti",
    ".nii.gz": "nifti.read_nifti",
    ".hdr": "nifti.read_nifti",
    ".hdr.gz": "nifti.read_nifti",
    ".nrrd": "itk.read_itk",
    ".nhdr": "itk.read_itk",
    ".mha": "itk.read_itk",
    ".mhd": "itk.read_itk",
    ".dcm": DICOM,
    ".ima": DICOM,
    ".zip": DICOM,
    **dict.fromkeys(PICTURES, "image2d.read_image2d"),
}
"""`function(path) -> Volume`; what it returns is checked by `monai_semgan.io.reading.read_volume`."""

_SECOND_FILES: dict[str, Function | str] = {".img": "nifti.read_nifti", ".img.gz": "nifti.read_nifti"}
"""Of scans in two files the one that may be given in place of the other, but is no scan of its own in a folder."""

_LABEL_READERS: dict[str, Function | str] = dict.fromkeys(PICTURES, "image2d.read_image2d_label")
"""`function(path) -> Volume`, for formats of single images: their labels are read unlike the images."""

_SEGMENT_READERS: dict[str, Function | str] = {
    ".seg.nrrd": "seg_nrrd.read_seg_nrrd",
    ".dcm": "dicom.seg_reading.read_dicom_seg",
}
"""`function(path, like, names) -> Volume`, for labels that are read by their names."""

_WRITERS: dict[str, Function | str] = {
    ".nii": "nifti.write_nifti",
    ".nii.gz": "nifti.write_nifti",
    ".nrrd": "itk.write_itk",
    ".mha": "itk.write_itk",
}
"""`function(array, like, path)`."""

_LABEL_WRITERS: dict[str, Function | str] = {
    ".seg.nrrd": "seg_nrrd.write_seg_nrrd",
    "/rtstruct.dcm": "dicom.rtstruct.write_rtstruct",
    ".dcm": "dicom.seg_writing.write_dicom_seg",
    ".png": "image2d_writing.write_image2d_label",
}
"""`function(array, like, path, segments)`, for formats that hold labels only; a key may name the whole file."""

_WITH_PROVENANCE = {"/rtstruct.dcm", ".dcm"}
"""Of these the ones that take `provenance` and `uids` as well."""

_LABEL_CHECKS: dict[str, Function | str] = {
    "/rtstruct.dcm": "dicom.rtstruct.check_rtstruct",
    ".dcm": "dicom.seg_writing.check_dicom_seg",
    ".png": "image2d_writing.check_single_image",
}
"""`function(like, path)`: raises, before long computations, where labels of a scan cannot be written in this format."""


def register_reader(*endings: str, single_images: bool = False) -> Callable[[F], F]:
    """Register `function(path) -> Volume` for images and labels.

    Args:
        endings: of file names, lower case, with the dot.
        single_images: whether the format holds single images, not volumes.

    Raises:
        SemganError: if an ending is taken.
    """

    def register(function: F) -> F:
        _add(_READERS, endings, function)
        if single_images:
            _add(_LABEL_READERS, endings, function)
        return function

    return register


def register_segment_reader(*endings: str) -> Callable[[F], F]:
    """Register `function(path, like, names) -> Volume` for labels read by their names; see `register_reader`."""
    return _decorator(_SEGMENT_READERS, endings)


def register_writer(*endings: str) -> Callable[[F], F]:
    """Register `function(array, like, path)` for volumes and labels; see `register_reader`."""
    return _decorator(_WRITERS, endings)


def register_label_writer(*endings: str, check: Function | None = None, provenance: bool = False) -> Callable[[F], F]:
    """Register `function(array, like, path, segments)` for formats that hold labels only; see `register_reader`.

    Args:
        endings: of file names.
        check: `check(like, path)` raises where the labels of a scan cannot be written.
        provenance: whether the function takes `provenance` and `uids` by name; see
            `monai_semgan.io.writing.write_label`.
    """

    def register(function: F) -> F:
        _add(_LABEL_WRITERS, endings, function)
        if check is not None:
            _LABEL_CHECKS.update(dict.fromkeys(endings, check))
        if provenance:
            _WITH_PROVENANCE.update(endings)
        return function

    return register


def forget_format(*endings: str) -> None:
    """Take back what was registered for endings."""
    for table in (_READERS, _LABEL_READERS, _SEGMENT_READERS, _WRITERS, _LABEL_WRITERS, _LABEL_CHECKS):
        for ending in endings:
            table.pop(ending, None)
    _WITH_PROVENANCE.difference_update(endings)


def _decorator(table: dict[str, Function | str], endings: tuple[str, ...]) -> Callable[[F], F]:
    def register(function: F) -> F:
        _add(table, endings, function)
        return function

    return register


def _add(table: dict[str, Function | str], endings: tuple[str, ...], function: Function) -> None:
    for ending in endings:
        if not ending.startswith((".", "/")) or ending != ending.lower():
            raise SemganError(f"{ending!r} is no file ending", remedy="use lower case, with the dot, such as .nii.gz")
        if ending in table:
            raise SemganError(f"files {ending} have a function already", remedy="choose another ending")
    table.update(dict.fromkeys(endings, function))


def readable_endings() -> tuple[str, ...]:
    """Endings of files that can be read as images."""
    return tuple(_READERS)


def image2d_endings() -> tuple[str, ...]:
    """Endings of files that hold a single image and are no DICOM."""
    return tuple(_LABEL_READERS)


def volume_endings() -> tuple[str, ...]:
    """Endings of files, and zips, that hold a whole volume."""
    series = (ending for ending, function in _READERS.items() if function != DICOM or ending == ".zip")
    return tuple(ending for ending in series if ending not in _LABEL_READERS)


def writable_endings() -> tuple[str, ...]:
    """Endings of files into which any volume can be written."""
    return tuple(_WRITERS)


def label_endings() -> tuple[str, ...]:
    """Endings of files into which a label map can be written; `.dcm` is DICOM SEG, `.png` for single images."""
    return tuple(ending for ending in (*_WRITERS, *_LABEL_WRITERS) if ending.startswith("."))


def find_reader(path: Path, series: str | None = None, label: bool = False, resample: bool = False) -> Function:
    """Find the function that reads a file or folder.

    Args:
        path: what to read.
        series: the series to take, if a user chose one.
        label: whether a label map is to be read.
        resample: of DICOM, take tilted and unevenly spaced slices too.

    Raises:
        SemganError: there is no such file, it cannot be opened, its ending is unknown, or it has no series.
    """
    if not path.exists():
        raise SemganError("no such file", remedy="check the path", path=path)
    if path.is_dir():
        return partial(_loaded(DICOM), series=series, resample=resample)
    if not path.is_file():
        raise SemganError("is no regular file", remedy="give a file or folder", path=path)
    if path.stat().st_size == 0:
        raise SemganError("the file is empty", remedy="copy or export it again", path=path)
    if not os.access(path, os.R_OK):
        raise SemganError("no permission to read the file", remedy="change its permissions", path=path)
    known = _entry(path, {**_READERS, **_SECOND_FILES, **(_LABEL_READERS if label else {})})
    if known is None and marked_as_dicom(path):
        known = DICOM
    if known is None:
        raise SemganError("unknown file ending", remedy=f"supported are {', '.join(_READERS)}", path=path)
    if known == DICOM:
        return partial(_loaded(DICOM), series=series, resample=resample)
    if series is not None:
        raise SemganError("only DICOM has series", remedy="leave out --series", path=path)
    return _loaded(known)


def find_segment_reader(path: Path) -> Function | None:
    """Find the function that reads a label file by the names of its segments, if its format has such."""
    known = _entry(path, _SEGMENT_READERS)
    if known is not None:
        return _loaded(known)
    unknown = path.is_file() and _entry(path, {**_READERS, **_SECOND_FILES}) is None
    return _loaded(_SEGMENT_READERS[".dcm"]) if unknown and marked_as_dicom(path) else None


def find_writer(path: Path) -> Function:
    """Find the function that writes a file of this ending, which has to be known."""
    known = _entry(path, _WRITERS)
    assert known is not None
    return _loaded(known)


def find_label_writer(path: Path) -> Function | None:
    """Find the function that writes a file of this ending, if it holds labels only."""
    known = _entry(path, _LABEL_WRITERS)
    return None if known is None else _loaded(known)


def holds_provenance(path: Path) -> bool:
    """Tell whether the function that writes labels into such a file takes `provenance` and `uids`."""
    ending = _ending(path, _LABEL_WRITERS)
    return ending in _WITH_PROVENANCE


def find_label_check(path: Path) -> Function | None:
    """Find the function that tells whether the labels of a scan can be written in this format, if it has one."""
    known = _entry(path, _LABEL_CHECKS)
    return None if known is None else _loaded(known)


def marked_as_dicom(path: str | Path) -> bool:
    """Tell whether a file bears the mark of DICOM behind its preamble.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def stem(path: Path) -> str:
    """Name of a file without an ending that is known here; the whole name of a folder."""
    if path.is_dir():
        return path.name or path.resolve().name
    endings = sorted({*_READERS, *_SECOND_FILES, *_SEGMENT_READERS, ".dicom"}, key=len, reverse=True)
    ending = next((ending for ending in endings if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def _entry(path: Path, table: dict[str, Function | str]) -> Function | str | None:
    """What a table holds for the longest ending that fits."""
    ending = _ending(path, table)
    return None if ending is None else table[ending]


def _ending(path: Path, table: dict[str, Function | str]) -> str | None:
    """The longest ending of a table that fits."""
    name = path.as_posix().lower()
    return max((ending for ending in table if name.endswith(ending)), key=len, default=None)


def _loaded(function: Function | str) -> Function:
    """A registered function; one that comes along is imported from `monai_semgan.io`."""
    if not isinstance(function, str):
        return function
    module, _, attribute = function.rpartition(".")
    loaded: Function = getattr(import_module(f"monai_semgan.io.{module}"), attribute)
    return loaded
