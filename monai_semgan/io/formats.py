"""Which module reads and writes which kind of file; the modules are imported when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Endings of files that hold any volume."""


LABEL_SUFFIXES = (".nii", ".nii.gz", ".seg.nrrd", ".nrrd", ".mha", ".dcm", ".png")
"""Endings of files that hold a label map; ``.dcm`` is a DICOM segmentation, ``.png`` for single images."""


READERS = {
    ".nii": "nifti.read_nifti",
    ".nii.gz": "nifti.read_nifti",
    ".nrrd": "itk.read_itk",
    ".nhdr": "itk.read_itk",
    ".mha": "itk.read_itk",
    ".mhd": "itk.read_itk",
    ".dcm": "dicom.series_reader.read_dicom",
    ".ima": "dicom.series_reader.read_dicom",
    ".zip": "dicom.series_reader.read_dicom",
    ".png": "picture.read_picture",
    ".jpg": "picture.read_picture",
    ".jpeg": "picture.read_picture",
    ".tif": "picture.read_picture",
    ".tiff": "picture.read_picture",
}
"""File ending to `module.function(path) -> Volume` in `monai_semgan.io`; what it returns is checked by
`monai_semgan.io.reading.read_volume`."""


WRITERS = {
    ".nii": "nifti.write_nifti",
    ".nii.gz": "nifti.write_nifti",
    ".nrrd": "itk.write_itk",
    ".mha": "itk.write_itk",
}
"""File ending to `module.function(array, like, path)`."""


LABEL_READERS = {
    suffix: "picture.read_picture_label" for suffix, name in READERS.items() if name == "picture.read_picture"
}
"""File ending to `module.function(path) -> Volume`, for formats whose labels are read unlike their images."""


SEGMENT_READERS = {
    ".seg.nrrd": "seg_nrrd.read_seg_nrrd",
    ".dcm": "dicom.seg_reading.read_dicom_seg",
}
"""End of a name to `module.function(path, like, names) -> Volume`, for labels that are read by their names."""


LABEL_WRITERS = {
    ".seg.nrrd": "seg_nrrd.write_seg_nrrd",
    "/rtstruct.dcm": "dicom.rtstruct.write_rtstruct",
    ".dcm": "dicom.seg_writing.write_dicom_seg",
    ".png": "picture.write_picture_label",
}
"""End of a path ending to `module.function(array, like, path, segments)`, for formats that hold labels only."""


ENDINGS = tuple(sorted({*READERS, *SEGMENT_READERS, ".dicom"}, key=len, reverse=True))
"""Of files that can be read, longest first."""


DICOM = "dicom.series_reader.read_dicom"
"""Also reads folders, and files without ending that carry DICOM's mark."""


def find_reader(path: Path, series: str | None = None, label: bool = False) -> Callable[[Path], Any]:
    """The function that reads a file or folder.

    Args:
        path: what to read.
        series: the series to take, if a user chose one.
        label: whether a label map is to be read.

    Raises:
        SemganError: there is no such file, it cannot be opened, its ending is unknown, or it has no series.
    """
    if not path.exists():
        raise SemganError("no such file", remedy="check the path", path=path)
    if path.is_dir():
        return partial(function(DICOM), series=series)
    if not path.is_file():
        raise SemganError("is no regular file", remedy="give a file or folder", path=path)
    if path.stat().st_size == 0:
        raise SemganError("the file is empty", remedy="copy or export it again", path=path)
    if not os.access(path, os.R_OK):
        raise SemganError("no permission to read the file", remedy="change its permissions", path=path)
    for suffix, name in {**READERS, **(LABEL_READERS if label else {})}.items():
        if path.name.lower().endswith(suffix):
            return _with_series(name, series, path)
    if marked_as_dicom(path):
        return _with_series(DICOM, series, path)
    raise SemganError("unknown file ending", remedy=f"supported are {', '.join(READERS)}", path=path)


def _with_series(name: str, series: str | None, path: Path) -> Callable[[Path], Any]:
    if name == DICOM:
        return partial(function(name), series=series)
    if series is not None:
        raise SemganError("only DICOM has series", remedy="leave out --series", path=path)
    return function(name)


def marked_as_dicom(path: str | Path) -> bool:
    """Whether a file bears DICOM's mark behind its preamble.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def find_segment_reader(path: Path) -> Callable[..., Any] | None:
    """The function that reads a label file by the names of its segments, if its format has such."""
    for suffix, name in SEGMENT_READERS.items():
        if path.name.lower().endswith(suffix):
            return function(name)
    unknown = path.is_file() and not path.name.lower().endswith(tuple(READERS))
    return function(SEGMENT_READERS[".dcm"]) if unknown and marked_as_dicom(path) else None


def stem(path: Path) -> str:
    """Name of a file without an ending that is known here; the whole name of a folder."""
    if path.is_dir():
        return path.name or path.resolve().name
    suffix = next((s for s in ENDINGS if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


def find_writer(path: Path) -> Callable[..., None]:
    """The function that writes a file of this ending, which has to be known."""
    return function(next(name for suffix, name in WRITERS.items() if path.name.lower().endswith(suffix)))


def find_label_writer(path: Path) -> Callable[..., None] | None:
    """The function that writes a file of this ending, if it holds named segments."""
    names = (name for suffix, name in LABEL_WRITERS.items() if path.as_posix().lower().endswith(suffix))
    return next((function(name) for name in names), None)


def function(name: str) -> Callable[..., Any]:
    """A function of `monai_semgan.io` by `module.function`."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"monai_semgan.io.{module}"), attribute)
