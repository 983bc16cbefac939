"""CT series of the phantom to put into an archive: each in a study of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.uid import generate_uid

from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient


def write_ct(folder: Path, *, spacing: tuple[float, float, float] = (6.0, 6.0, 12.0), **tags: Any) -> Path:
    """Write an axial CT of the phantom, 16 slices of 40 rows and 55 columns unless told otherwise.

    Args:
        folder: where to; one file for each slice.
        spacing: mm between columns, rows and slices.
        tags: DICOM attributes of all slices, such as `StudyInstanceUID`: new ones otherwise.
    """
    affine, shape = grid(spacing, codes="LPS")
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    return write_series(folder, datasets(patient(affine, shape, seed=1).array, affine, **{**uids, **tags}))
