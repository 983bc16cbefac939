"""What a DICOM folder, zip or file holds, series by series, for people and programs that choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_folder import DicomFolder, read_folder
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.series_choice import problem_in, usable_stack
from monai_semgan.io.dicom.series_volumes import split_series
from monai_semgan.io.dicom.stack import RESAMPLE, MixedStack, Stack
from monai_semgan.io.dicom.unused_files import unused_note


@dataclass(frozen=True)
class ListedSeries:
    """A series, or one of the volumes that it holds.

    Args:
        name: what `--series` takes.
        uid: series UID.
        modality: such as `CT`.
        images: how many there are.
        size: columns, rows and slices; None where these are no volume.
        spacing: mm along them; None likewise.
        problem: why it cannot be read as a volume, or not without --resample; empty if it can.
    """

    name: str
    uid: str
    modality: str
    images: int
    size: tuple[int, int, int] | None = None
    spacing: tuple[float, ...] | None = None
    problem: str = ""

    def line(self) -> str:
        """Tell it in one line."""
        told = f"{self.name}: {self.modality or 'unknown'}, {self.images} image{'s' if self.images != 1 else ''}"
        if self.size is not None and self.spacing is not None:
            told += f", {'x'.join(map(str, self.size))} voxels of {'x'.join(f'{mm:.2f}' for mm in self.spacing)} mm"
        return f"{told}; {self.problem}" if self.problem else told


def list_series(path: Path) -> tuple[list[ListedSeries], list[str]]:
    """List the series, the largest first, those that hold several volumes by these; and a note on other files.

    Raises:
        SemganError: there is no image.
    """
    folder = read_folder(path)
    listed = [entry for series in folder.series for entry in listed_series(series, folder)]
    copies = [copy for series in folder.series for copy in series.copies]
    return listed, unused_note([*folder.unused, *copies])


def listed_series(series: Series, folder: DicomFolder) -> list[ListedSeries]:
    """List one series of a folder: itself, or the volumes that it holds."""
    facts = (series.name, series.uid, series.modality, series.count)
    if series.projection:
        return [ListedSeries(*facts)]
    if not series.is_image:
        return [ListedSeries(*facts, problem="no scan")]
    try:
        _, stack = usable_stack(series, folder)
    except MixedStack as error:
        parts = [] if series.part else split_series(series)
        if len(parts) > 1:
            return [entry for part in parts for entry in listed_series(part, folder)]
        return [ListedSeries(*facts, problem=error.problem)]
    except SemganError as error:
        problem = problem_in(folder, error)
        if RESAMPLE not in error.remedy:
            return [ListedSeries(*facts, problem=problem)]
        _, stack = usable_stack(series, folder, resample=True)
        return [_volume(facts, stack, f"{problem}; needs --resample")]
    return [_volume(facts, stack)]


def _volume(facts: tuple[str, str, str, int], stack: Stack, problem: str = "") -> ListedSeries:
    spacing = np.linalg.norm(stack.affine[:3, :3], axis=0)
    return ListedSeries(*facts, stack.shape, tuple(round(float(mm), 4) for mm in spacing), problem)
