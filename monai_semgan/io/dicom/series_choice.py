"""Which series to read, and which of its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_folder import DicomFolder
from monai_semgan.io.dicom.headers import Header
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.series_volumes import split_series
from monai_semgan.io.dicom.stack import IncompleteStack, MixedStack, Stack, stack_slices
from monai_semgan.io.dicom.unused_files import UnusedFile, unused_note
from monai_semgan.io.private_note import PrivateNote

SCANS = ("CT", "MR")
LISTED = 12
"""Series in a message."""

OTHERS = "choose another one with --series"


@dataclass(frozen=True, eq=False)
class Choice:
    """The series to read.

    Args:
        series: what is taken.
        stack: its slices in order; None for radiographs.
        notes: why it is taken, and what is not used.
    """

    series: Series
    stack: Stack | None
    notes: tuple[str, ...]


def choose_series(folder: DicomFolder, wanted: str | None = None, resample: bool = False) -> Choice:
    """Choose the series asked for; or the largest CT or MR; or the largest other volume; or the only radiograph.

    Of the largest ones the first that makes up a volume is taken. A series that lacks slices is no reason to take
    another one: it should be copied again. Nor does a single slice stand in for a stack.

    Args:
        folder: what is there.
        wanted: UID or number of the series, and the part of it, such as `7/echo=2`.
        resample: see `stack_slices`.

    Raises:
        SemganError: there is no such series, none that can be read, or there are several radiographs.
    """
    if wanted is not None:
        asked = _wanted(folder, wanted.strip())
        taken, stack = (asked, None) if asked.projection else _usable(asked, folder, resample)
        return Choice(taken, stack, (*_remarks(taken), *_unused(folder, taken)))
    pool, why = _candidates(folder)
    taken, stack, refused = _first_usable(pool, folder, resample)
    notes = (*_told(folder, taken, why, refused), *_remarks(taken), *_unused(folder, taken))
    return Choice(taken, stack, notes)


def listed(series: Sequence[Series]) -> str:
    """Describe series in one line."""
    return ", ".join(entry.described() for entry in series[:LISTED]) + (", ..." if len(series) > LISTED else "")


def usable_stack(series: Series, folder: DicomFolder, resample: bool = False) -> tuple[Series, Stack]:
    """Order the slices of a series, without copies.

    Raises:
        MixedStack: it holds several volumes.
        IncompleteStack: slices are missing or damaged.
        SemganError: it is no volume for another reason.
    """
    series.check_size()
    _check_kind(series, folder)
    damaged = next((entry.error for entry in folder.damaged if entry.error and series.may_hold(entry)), None)
    if damaged is not None:
        remedy = f"{damaged.remedy}, or take it out of the folder if it is no part of the scan"
        raise IncompleteStack(damaged.problem, remedy=remedy, path=damaged.path)
    try:
        return series, stack_slices(series.frames, folder.path, resample)
    except MixedStack:
        parts = split_series(series)
        if len(parts) == 1 and parts[0] is not series:
            return parts[0], stack_slices(parts[0].frames, folder.path, resample)
        raise


def _usable(series: Series, folder: DicomFolder, resample: bool) -> tuple[Series, Stack]:
    """As `usable_stack`; where there are several volumes, the error names them."""
    try:
        return usable_stack(series, folder, resample)
    except MixedStack as error:
        parts = split_series(series)
        if len(parts) < 2:
            raise
        problem = f"{error.problem}: series {series.name} holds {listed(parts)}"
        remedy = f"choose one with --series, for example --series {parts[0].name}"
        raise MixedStack(problem, remedy=remedy, path=error.path) from None


def _check_kind(series: Series, folder: DicomFolder) -> None:
    if all(header.localiser for header in series.headers):
        raise SemganError(
            "there are only overview images (localisers)", remedy="give the scan itself", path=folder.path
        )
    wrong: Header | None = next(
        (header for header in series.headers if (header.colour or header.inverted) and not header.localiser), None
    )
    if wrong is not None:
        raise SemganError(
            "holds colours or inverted grey where plain grey values are expected",
            remedy="export the original images (MONOCHROME2)",
            path=wrong.file.path,
        )


def _candidates(folder: DicomFolder) -> tuple[list[Series], str]:
    """The series to try, in order, and why these."""
    found, path = folder.series, folder.path
    scans = [series for series in found if series.modality in SCANS]
    volumes = [series for series in found if series.voxels and series.is_image and not series.projection]
    radiographs = [series for series in found if series.projection]
    if any(series in scans for series in volumes):
        return [series for series in volumes if series in scans], "the largest CT or MR"
    if volumes:
        return volumes, "the largest volume, since there is no CT or MR"
    if len(radiographs) > 1 and not scans:
        remedy = f"choose with --series; there are {listed(found)}"
        raise SemganError(f"holds {len(radiographs)} series of radiographs", remedy=remedy, path=path)
    if radiographs:
        return radiographs, "the only radiograph"
    if scans:  # it has no slices with a place: the attempt tells why
        return scans, "the largest CT or MR"
    photographs = all(header.colour for series in found for header in series.headers)
    remedy = "export photographs as PNG or JPEG" if found and photographs else "give the folder of a scan"
    raise SemganError(f"no scan and no radiograph; there are {listed(found)}", remedy=remedy, path=path)


Refused = list[tuple[Series, SemganError]]


def _first_usable(pool: Sequence[Series], folder: DicomFolder, resample: bool) -> tuple[Series, Stack | None, Refused]:
    """The first series that is a volume, and those before it with the reasons why they are none."""
    refused: Refused = []
    for series in pool:
        if series.projection:
            return series, None, refused
        try:
            if refused and len(series.frames) == 1:
                raise SemganError("there is only one slice")
            return *_usable(series, folder, resample), refused
        except IncompleteStack as error:
            if len(folder.series) == 1:
                raise
            remedy = f"{error.remedy}; or {OTHERS}: there are {listed(folder.series)}"
            raise IncompleteStack(error.problem, remedy=remedy, path=error.path) from None
        except SemganError as error:
            refused.append((series, error))
    first = refused[0][1]
    if len(refused) == 1:
        raise first
    reasons = "; ".join(_reason(series, error, folder) for series, error in refused[:LISTED])
    raise SemganError(
        f"none of {len(refused)} series can be taken as a volume: {reasons}", remedy=first.remedy, path=folder.path
    )


def _reason(series: Series, error: SemganError, folder: DicomFolder) -> str:
    return f"{series.described()}: {problem_in(folder, error)}"


def problem_in(folder: DicomFolder, error: SemganError) -> str:
    """Tell an error, with the file's name where it is that of one file of the folder."""
    where = f"{error.path.name}: " if error.path is not None and error.path != folder.path else ""
    return f"{where}{error.problem}"


def _told(folder: DicomFolder, taken: Series, why: str, refused: Refused) -> list[str]:
    """What a user should know of the choice."""
    if len(folder.series) == 1:
        return []
    passed = [series for series, _ in refused]
    others = [series for series in folder.series if series.uids.isdisjoint(taken.uids) or series.name != taken.name]
    others = [series for series in others if series not in passed]
    told = f"Series {taken.described()} is taken, {why}"
    if refused:
        told += f" that can be read; not {'; not '.join(_reason(s, error, folder) for s, error in refused[:LISTED])}"
    if others:
        shown = listed(others) if len(others) < 7 else f"{len(others)} others"
        told += f"; there are also {shown}"
    return [PrivateNote(f"{told}: --series chooses.", f"One of {len(folder.series)} series is taken, {why}.")]


def _remarks(taken: Series) -> list[str]:
    notes = []
    localisers = sum(header.localiser for header in taken.headers)
    if localisers:
        notes.append(f"{localisers} overview image{'s' if localisers > 1 else ''} (localiser) of the series left out.")
    if taken.merged:
        notes.append(
            f"The files have {len(taken.uids)} series UIDs: since their {taken.count} images lie in one stack, "
            "they are read as one series."
        )
    return notes


def _unused(folder: DicomFolder, taken: Series) -> list[str]:
    copies: tuple[UnusedFile, ...] = taken.copies
    return unused_note([*folder.unused, *copies])


def _wanted(folder: DicomFolder, wanted: str) -> Series:
    whole, _, part = wanted.partition("/")
    matches = [series for series in folder.series if whole and (whole in series.uids or _same(whole, series.number))]
    images = [series for series in matches if series.is_image]
    path, remedy = folder.path, f"there are {listed(folder.series)}"
    if len(images) > 1:
        names = " or ".join(series.uid for series in images)
        raise SemganError(f"{len(images)} series have the number {whole}", remedy=f"give its UID, {names}", path=path)
    if matches and not images:
        raise SemganError(f"series {matches[0].described()} is no scan and no radiograph", remedy=remedy, path=path)
    if not matches:
        raise SemganError(f"there is no series {wanted}", remedy=remedy, path=path)
    if not part:
        return images[0]
    parts = split_series(images[0])
    chosen = [entry for entry in parts if entry.part.lower() == part.lower()]
    if chosen:
        return replace(chosen[0], number=whole if not chosen[0].number else chosen[0].number)
    inside = listed(parts) if len(parts) > 1 else f"one volume, {whole}"
    raise SemganError(f"there is no {part} in series {whole}", remedy=f"it holds {inside}", path=path)


def _same(wanted: str, number: str) -> bool:
    if wanted.isdecimal() and number.isdecimal():
        return int(wanted) == int(number)
    return wanted == number
