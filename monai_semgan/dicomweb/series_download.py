"""Fetches a series into a folder, whole or not at all; what has come stays there for the next try."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.utils.files import write_error, written_aside

if TYPE_CHECKING:
    from pydicom import Dataset

TRIES = 3
"""Times that missing instances are asked for, and that a series may have changed meanwhile."""

ENDING = ".dcm"
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

OnInstance = Callable[[int, int], None]
"""Is told how many instances of how many are there; what it raises ends the download."""


def fetch_series(
    archive: Archive, series: ArchiveSeries, folder: Path, on_instance: OnInstance | None = None
) -> list[Path]:
    """Fetch all instances of a series.

    A folder that an earlier try has left is completed; files of instances that the archive has no more go.

    Args:
        archive: where it is.
        series: which.
        folder: for the files, one per instance, named by UIDs.
        on_instance: see `OnInstance`.

    Returns:
        The files.

    Raises:
        ArchiveError: the archive cannot be reached, instances are missing, or the series goes on changing.
        SemganError: the files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    wanted = archive.list_instances(series)
    for _ in range(TRIES):
        if not wanted:
            raise ArchiveError("the archive has no image of the series any more", remedy="choose another series")
        _complete(archive, series, folder, wanted, on_instance)
        before, wanted = wanted, archive.list_instances(series)
        if wanted == before:
            _remove_others(folder, wanted)
            return [_place(folder, uid) for uid in wanted]
    raise ArchiveError(
        f"images of the series still arrive at the archive: {len(wanted)} by now",
        remedy="try again when all have come",
        passing=True,
    )


def _complete(
    archive: Archive, series: ArchiveSeries, folder: Path, wanted: Collection[str], on_instance: OnInstance | None
) -> None:
    """Fetch what is missing: the whole series in one answer first, then each missing instance by itself."""
    problem = ""
    missing = {uid for uid in wanted if not _place(folder, uid).is_file()}
    for turn in range(TRIES):
        if not missing:
            return
        whole = turn == 0 and len(missing) > len(wanted) // 2
        coming = archive.iter_series(series) if whole else _singly(archive, series, sorted(missing))
        try:
            for dataset in coming:
                uid = str(dataset.get("SOPInstanceUID", ""))
                if uid in missing and _is_whole(dataset, series):
                    _write(dataset, _place(folder, uid))
                    missing.discard(uid)
                    if on_instance is not None:
                        on_instance(len(wanted) - len(missing), len(wanted))
        except ArchiveError as error:
            if not error.passing and error.status is not None and whole:
                raise
            problem = f" ({error.problem})"
        finally:
            coming.close()
    if missing:
        raise ArchiveError(
            f"{len(missing)} of {len(wanted)} images of the series do not come{problem}",
            remedy="try again; what has come is kept",
            passing=True,
        )


def _singly(archive: Archive, series: ArchiveSeries, missing: Iterable[str]) -> Generator[Dataset, None, None]:
    for uid in missing:
        yield archive.fetch_instance(series, uid)


def _is_whole(dataset: Dataset, series: ArchiveSeries) -> bool:
    """Tell whether an instance is of the series and has its pixels: of one cut off, pydicom leaves them out."""
    mine = str(dataset.get("SeriesInstanceUID", "")) == series.series
    return mine and ("Rows" not in dataset or any(name in dataset for name in PIXELS))


def _write(dataset: Dataset, path: Path) -> None:
    try:
        with written_aside(path) as temporary, quiet():
            dataset.save_as(temporary, enforce_file_format=True)
    except SemganError:
        raise
    except Exception as error:  # whatever a damaged object makes pydicom raise
        raise ArchiveError("an image of the series is damaged", remedy="ask whoever runs the archive") from error


def _place(folder: Path, uid: str) -> Path:
    return folder / f"{uid}{ENDING}"


def _remove_others(folder: Path, wanted: Collection[str]) -> None:
    names = {_place(folder, uid).name for uid in wanted}
    for path in folder.iterdir():
        if path.name not in names and path.is_file():
            path.unlink(missing_ok=True)
