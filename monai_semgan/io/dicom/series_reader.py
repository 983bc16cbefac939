"""A DICOM series as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_folder import read_folder
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.pixel_padding import AIR_HU
from monai_semgan.io.dicom.pixels import read_pixels
from monai_semgan.io.dicom.radiograph import read_radiograph
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.series_choice import choose_series
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.limits import check_voxels
from monai_semgan.io.volume import Volume

HU_EVIDENCE = -200
"""Only values in HU reach below this: stored values of CT are not negative."""


def read_dicom(
    path: Path, series: str | None = None, resample: bool = False, files: Sequence[Path] | None = None
) -> Volume:
    """Read a series out of a folder, a zip or a file.

    Args:
        path: folder, zip, or DICOM file.
        series: UID or number of the series, and the part of it, such as `7/echo=2`; chosen when left out, see
            `choose_series`.
        resample: see `stack_slices`.
        files: of a folder these alone.

    Raises:
        SemganError: there is no usable series.
    """
    choice = choose_series(read_folder(path, files), series, resample)
    taken, stack, notes = choice.series, choice.stack, list(choice.notes)
    if stack is None:
        taken.check_size()
        return read_radiograph(taken, path, notes)
    frames, planes = stack.frames, stack.planes
    check_voxels(stack.shape, path)
    notes += stack.notes
    if len(frames) == 1 and path.is_file() and path.suffix.lower() != ".zip":
        notes.append("A single file was given: give its folder to read the whole series.")
    array, remarks = read_pixels(frames, AIR_HU if taken.modality == "CT" else None)
    notes += remarks
    notes += _check_scale(taken, frames, array)
    if planes is not None:
        array = planes.filled(array)
    source = DicomSource(frames, None if planes is None else planes.nearest)
    return Volume(array, stack.affine, path, None, tuple(notes), taken.modality, source)


def _check_scale(series: Series, frames: Sequence[Frame], array: np.ndarray) -> list[str]:
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
