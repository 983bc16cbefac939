"""Fetches a series into a folder, whole or not at all; what has come stays there for the next try."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_errors import NO_RIGHT, ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.dicomweb.folder_lock import LOCK, locked_folder
from monai_semgan.dicomweb.received_instance import is_whole, uid_of, write_instance
from monai_semgan.utils.files import write_error

if TYPE_CHECKING:
    from pydicom import Dataset

TRIES = 3
"""Times that a series may have changed meanwhile, and failures in a row before single images are given up."""

ENDING = ".dcm"
FAILED = 500
"""From here on it is the archive that has failed: some do for a whole series where one file of it is lost."""

OnInstance = Callable[[int, int], None]
"""Is told how many instances of how many are there; what it raises ends the download."""


def fetch_series(
    archive: Archive, series: ArchiveSeries, folder: Path, on_instance: OnInstance | None = None
) -> list[Path]:
    """Fetch all instances of a series.

    A folder that an earlier try has left is completed; files of instances that the archive has no more go. While
    somebody else fetches into the folder, this waits.

    Args:
        archive: where it is.
        series: which.
        folder: for the files, one per instance, named by UIDs; all else in it goes.
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
    host = archive.address.host
    download = _Download(archive, series, folder, on_instance or (lambda done, total: None))
    wanted = archive.list_instances(series)
    with locked_folder(folder, lambda: download.tell(wanted)):
        for _ in range(TRIES):
            if not wanted:
                problem = f"the archive {host} has no image of the series any more"
                raise ArchiveError(problem, remedy="choose another series")
            download.complete(wanted)
            before, wanted = wanted, archive.list_instances(series)
            if wanted == before:
                _remove_others(folder, wanted)
                return [_place(folder, uid) for uid in wanted]
    raise ArchiveError(
        f"images of the series still arrive at the archive {host}: {len(wanted)} by now",
        remedy="try again when all have come",
        passing=True,
    )


class _Download:
    """Brings what is missing: the whole series in one answer first, then each missing instance by itself."""

    def __init__(self, archive: Archive, series: ArchiveSeries, folder: Path, on_instance: OnInstance) -> None:
        self._archive, self._series, self._folder, self._on_instance = archive, series, folder, on_instance
        self._missing: set[str] = set()
        self._total = 0
        self._problem = ""

    def tell(self, wanted: Collection[str]) -> None:
        """Tell how many of the wanted instances are there."""
        self._look(wanted)
        self._on_instance(self._total - len(self._missing), self._total)

    def complete(self, wanted: Collection[str]) -> None:
        """Fetch what is missing of the wanted instances.

        Raises:
            ArchiveError: some do not come.
        """
        self._look(wanted)
        if len(self._missing) > self._total // 2:
            self._fetch_together()
        before = self._total + 1
        while 0 < len(self._missing) < before:  # as long as some come
            before = len(self._missing)
            self._fetch_singly()
        if self._missing:
            archive = f"the archive {self._archive.address.host}"
            problem = self._problem.replace(archive, "it")
            raise ArchiveError(
                f"{len(self._missing)} of {self._total} images of the series do not come from {archive}: {problem}",
                remedy="try again; what has come is kept",
                passing=True,
            )

    def _look(self, wanted: Collection[str]) -> None:
        self._missing = {uid for uid in wanted if not _place(self._folder, uid).is_file()}
        self._total = len(wanted)

    def _fetch_together(self) -> None:
        coming = self._archive.iter_series(self._series)
        try:
            for dataset in coming:
                self._keep(dataset)
        except ArchiveError as error:
            if error.status is not None and error.status < FAILED and not error.passing:
                raise
            self._problem = error.problem
        finally:
            coming.close()

    def _fetch_singly(self) -> None:
        failures = 0
        for uid in sorted(self._missing):
            try:
                self._keep(self._archive.fetch_instance(self._series, uid))
                failures = 0
            except ArchiveError as error:
                if error.status in NO_RIGHT:
                    raise
                self._problem = error.problem
                failures = failures + 1 if error.passing else 0
                if failures == TRIES:
                    return

    def _keep(self, dataset: Dataset) -> None:
        uid = uid_of(dataset, "SOPInstanceUID")
        if uid not in self._missing:
            self._problem = "it sends others"
        elif uid_of(dataset, "SeriesInstanceUID") != self._series.series:
            self._problem = "it sends those of another series"
        elif not is_whole(dataset):
            self._problem = "it sends images that are cut off or have no pixels"
        else:
            write_instance(dataset, _place(self._folder, uid))
            self._missing.discard(uid)
            self._on_instance(self._total - len(self._missing), self._total)


def _place(folder: Path, uid: str) -> Path:
    return folder / f"{uid}{ENDING}"


def _remove_others(folder: Path, wanted: Collection[str]) -> None:
    names = {LOCK, *(_place(folder, uid).name for uid in wanted)}
    try:
        for path in folder.iterdir():
            if path.name not in names and path.is_file():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
