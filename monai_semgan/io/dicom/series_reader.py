"""A DICOM series as a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.pixels import read_pixels
from monai_semgan.io.dicom.radiograph import read_radiograph
from monai_semgan.io.dicom.series import Series, choose_series, find_series
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.dicom.stack import stack_slices
from monai_semgan.io.volume import Volume

HU_EVIDENCE = -200
"""Only values in HU reach below this: stored values of CT are not negative."""


def read_dicom(path: Path, series: str | None = None) -> Volume:
    """Read a series out of a folder, a zip or a file.

    Args:
        path: folder, zip, or DICOM file.
        series: UID or number of the series; chosen when left out, see `choose_series`.

    Raises:
        SemganError: there is no usable series.
    """
    taken, notes = choose_series(find_series(path), path, series)
    taken.check_size()
    if taken.projection:
        return read_radiograph(taken, path, notes)
    notes += _check_kind(taken, path)
    frames, affine, remarks = stack_slices(taken.frames, path)
    notes += remarks
    if len(frames) == 1 and path.is_file() and path.suffix.lower() != ".zip":
        notes.append("A single file was given: give its folder to read the whole series.")
    array = read_pixels(frames)
    notes += _check_scale(taken, frames, array, path)
    return Volume(array, affine, path, None, tuple(notes), taken.modality, DicomSource(tuple(frames)))


def _check_kind(series: Series, path: Path) -> list[str]:
    localisers = [header for header in series.headers if header.localiser]
    if len(localisers) == len(series.headers):
        raise SemganError("there are only overview images (localisers)", remedy="give the scan itself", path=path)
    for header in series.headers:
        if (header.colour or header.inverted) and not header.localiser:
            raise SemganError(
                "holds colours or inverted grey where plain grey values are expected",
                remedy="export the original images (MONOCHROME2)",
                path=header.file.path,
            )
    if not localisers:
        return []
    count = len(localisers)
    return [f"{count} overview image{'s' if count > 1 else ''} (localiser) of the series left out."]


def _check_scale(series: Series, frames: list[Frame], array: np.ndarray, path: Path) -> list[str]:
    """CT needs slope and intercept to be in HU, unless the values are HU as they are."""
    unscaled = [frame for frame in frames if frame.scale is None]
    if series.modality != "CT" or not unscaled:
        return []
    if len(unscaled) < len(frames) or array.min() > HU_EVIDENCE:
        raise SemganError(
            "the CT has no rescale slope and intercept, and its values are not HU",
            remedy="export the original images",
            path=unscaled[0].file.path,
        )
    return ["The CT has no rescale slope and intercept: its values are taken as HU."]
