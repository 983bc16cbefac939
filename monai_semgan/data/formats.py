"""Which module reads and writes which kind of file; the modules are imported when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

READERS = {
    ".nii": "nifti.read_nifti",
    ".nii.gz": "nifti.read_nifti",
    ".nrrd": "itk.read_itk",
    ".nhdr": "itk.read_itk",
    ".mha": "itk.read_itk",
    ".mhd": "itk.read_itk",
}
"""File ending to `module.function(path) -> Volume` in `monai_semgan.data`; what it returns is checked by
`monai_semgan.data.volume.read_volume`."""

WRITERS = {
    ".nii": "nifti.write_nifti",
    ".nii.gz": "nifti.write_nifti",
    ".nrrd": "itk.write_itk",
    ".mha": "itk.write_itk",
}
"""File ending to `module.function(array, like, path)`."""


def find_reader(path: Path) -> Callable[..., Any]:
    """The function that reads a file.

    Raises:
        SemganError: there is no such file, it cannot be opened, or its ending is unknown.
    """
    if not path.exists():
        raise SemganError("no such file", remedy="check the path", path=path)
    if path.is_dir():
        raise SemganError("is a folder, not an image file", remedy="give a file", path=path)
    if path.stat().st_size == 0:
        raise SemganError("the file is empty", remedy="copy or export it again", path=path)
    if not os.access(path, os.R_OK):
        raise SemganError("no permission to read the file", path=path)
    for suffix, name in READERS.items():
        if path.name.lower().endswith(suffix):
            return function(name)
    raise SemganError("unknown file ending", remedy=f"supported are {', '.join(READERS)}", path=path)


def find_writer(path: Path) -> Callable[..., None]:
    """The function that writes a file of this ending, which has to be known."""
    return function(next(name for suffix, name in WRITERS.items() if path.name.lower().endswith(suffix)))


def function(name: str) -> Callable[..., Any]:
    """A function of `monai_semgan.data` by `module.function`."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"monai_semgan.data.{module}"), attribute)
