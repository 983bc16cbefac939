"""What a DICOM folder, zip or file holds: its series, and the files that belong to none.

UIDs alone are no identity: programs that remove names may give one SOP instance UID to all files, or each its own
series UID. What tells slices apart, and holds them together, is where they lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import DicomFile, find_files
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import Header, examine_file, quiet, read_dataset
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.stack import doubled
from monai_semgan.io.dicom.unused_files import COPY, DAMAGED, UnusedFile

OWNER_TAGS = ["PatientID", "PatientName", "PatientBirthDate", "StudyDate"]
"""What slices of one stack share even where their UIDs are not to be relied upon."""


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """What was found.

    Args:
        path: folder, zip or file.
        series: all series of images, the largest first.
        unused: files that belong to none.
    """

    path: Path
    series: tuple[Series, ...]
    unused: tuple[UnusedFile, ...]

    @property
    def damaged(self) -> list[UnusedFile]:
        """Files that were images, and may be missing from a series."""
        return [entry for entry in self.unused if entry.reason is DAMAGED]


def read_folder(path: Path, files: Iterable[Path] | None = None) -> DicomFolder:
    """Read the headers of all files, and group them into series.

    Args:
        path: folder, zip or file.
        files: of a folder these alone, wherever they lie.

    Raises:
        SemganError: there is no image.
    """
    headers: list[Header] = []
    unused: list[UnusedFile] = []
    for file in find_files(path) if files is None else map(DicomFile, files):
        found = examine_file(file)
        if isinstance(found, UnusedFile):
            unused.append(found)
        elif found.frames:
            headers.append(found)
    groups: dict[tuple[str, str], list[Header]] = {}
    for header in headers:
        groups.setdefault((header.series, header.modality), []).append(header)
    if not groups:
        raise _no_images(path, unused)
    series = []
    for members in groups.values():
        series += _split_by_number(members)
    series = [_without_copies(entry) for entry in _merged(series)]
    return DicomFolder(path, tuple(sorted(series, key=lambda entry: entry.order)), tuple(unused))


def _no_images(path: Path, unused: Sequence[UnusedFile]) -> SemganError:
    whole = path.is_dir()
    errors = [entry.error for entry in unused if entry.error and (entry.reason is DAMAGED or path.is_file())]
    if errors and (not whole or len(unused) == 1 or unused[0].reason is DAMAGED):
        return errors[0]
    what = "the folder holds no DICOM images" if whole else "no DICOM image"
    return SemganError(what, remedy="give the folder or zip of a scan", path=path)


def series_of(headers: Sequence[Header], **changes: Any) -> Series:
    """Make a series of files of one modality."""
    first = headers[0]
    return replace(Series(first.series, first.number, first.modality, tuple(headers)), **changes)


def _split_by_number(headers: list[Header]) -> list[Series]:
    """Several series that were given one UID, by their numbers; files of one volume stay together."""
    numbers: dict[str, list[Header]] = {}
    for header in headers:
        numbers.setdefault(header.number, []).append(header)
    frames = [frame for header in headers for frame in header.frames]
    if len(numbers) == 1 or (_one_grid(frames) and not doubled(frames)):
        return [series_of(headers)]
    return [series_of(members) for members in numbers.values()]


def _merged(found: Iterable[Series]) -> list[Series]:
    """Files with series UIDs of their own, as one series if they have number, kind and grid in common."""
    kept: list[Series] = []
    stacks: dict[tuple[object, ...], list[Header]] = {}
    for series in found:
        grid = _grid(series)
        if grid is None:
            kept.append(series)
        else:
            stacks.setdefault((series.modality, series.number, *grid), []).extend(series.headers)
    for headers in stacks.values():
        if len({header.series for header in headers}) == 1:
            kept.append(series_of(headers))
            continue
        owners: dict[tuple[str, ...], list[Header]] = {}
        for header in headers:
            owners.setdefault(_owner(header.file), []).append(header)
        kept += [series_of(own, merged=len({h.series for h in own}) > 1) for own in owners.values()]
    return kept


def _grid(series: Series) -> tuple[object, ...] | None:
    """Size, direction and spacing of a series whose images all lie at one place; None for any other."""
    frames = series.frames
    first = frames[0] if frames else None
    if (
        first is None
        or first.position is None
        or first.orientation is None
        or first.spacing is None
        or series.projection
        or not series.is_image
        or len(frames) != len(series.headers)
        or any(frame.position is None or not np.allclose(frame.position, first.position) for frame in frames)
    ):
        return None
    return (first.shape, *np.round(first.orientation, 2).ravel().tolist(), *np.round(first.spacing, 3).tolist())


def _owner(file: DicomFile) -> tuple[str, ...]:
    try:
        dataset = read_dataset(file, tags=OWNER_TAGS)
        with quiet():
            return tuple(str(dataset.get(name) or "") for name in OWNER_TAGS)
    except (SemganError, ValueError, TypeError):
        return (str(file.path),)


def _without_copies(series: Series) -> Series:
    """Leave out files that are there twice: of one UID, and at one place or with the same pixels."""
    kept: dict[tuple[str, object], list[Header]] = {}
    copies: list[UnusedFile] = []
    trusted = len({header.frames[0].uid for header in series.headers}) > 1
    for header in series.headers:
        place = _place(header)
        twins = kept.setdefault((header.frames[0].uid, place), [])
        known = trusted and place is not None
        if twins and header.frames[0].uid and (known or any(same_pixels(header.file, twin.file) for twin in twins)):
            copies.append(UnusedFile(header.file, COPY))
        else:
            twins.append(header)
    if not copies:
        return series
    left = {entry.file for entry in copies}
    return replace(
        series, headers=tuple(header for header in series.headers if header.file not in left), copies=tuple(copies)
    )


def _place(header: Header) -> object:
    """Where its slices lie; None if it does not tell."""
    positions = [frame.position for frame in header.frames]
    return None if any(place is None for place in positions) else np.array(positions).tobytes()


def same_pixels(first: DicomFile, second: DicomFile) -> bool:
    """Tell whether two files hold the same image."""
    try:
        one, other = (read_dataset(file, pixels=True, tags=["PixelData"]).get("PixelData") for file in (first, second))
    except SemganError:
        return False
    return one is not None and one == other


def _one_grid(frames: Sequence[Frame]) -> bool:
    if any(frame.position is None or frame.orientation is None or frame.spacing is None for frame in frames):
        return False
    grids = {(frame.shape, np.round(np.array(frame.orientation), 2).tobytes()) for frame in frames}
    return len(grids) == 1 and len({frame.spacing for frame in frames}) == 1
