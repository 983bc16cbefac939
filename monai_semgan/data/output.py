"""A place that cannot be written is found before the work."""

from __future__ import annotations

import os
from pathlib import Path

from monai_semgan.atomic import write_error
from monai_semgan.errors import SemganError

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Endings of files that hold any volume."""

LABEL_SUFFIXES = (".nii", ".nii.gz", ".seg.nrrd", ".nrrd", ".mha", ".dcm", ".png")
"""Endings of files that hold a label map; ``.dcm`` is a DICOM segmentation, ``.png`` for single images."""


def check_output_folder(folder: str | Path, option: str, probe: str) -> Path:
    """Makes sure, before long computations, that results can be written into a folder; makes it when missing.

    Args:
        folder: where the results shall go.
        option: of the command line that names it.
        probe: name of a file that will lie there.

    Raises:
        SemganError: if it is a file, or cannot be made or written.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise SemganError("is a file, a folder is needed", remedy=f"choose another {option}", path=path)
    return check_output(path / probe, (Path(probe).suffix,)).parent


def check_output(path: str | Path, suffixes: tuple[str, ...] = VOLUME_SUFFIXES, inputs: tuple[Path, ...] = ()) -> Path:
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
        raise SemganError("unknown file ending", remedy=f"use {', '.join(suffixes)}", path=path)
    if path.is_dir():
        raise SemganError("is a folder, a file name is needed", path=path)
    if path.exists() and any(Path(p).exists() and os.path.samefile(path, p) for p in inputs):
        raise SemganError("the output would overwrite the input", remedy="choose another output", path=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SemganError("the folder cannot be written", remedy="choose another output folder", path=path)
    return path
