"""Series that were fetched from an archive, and the volumes made of them: bounded, and forgotten after a time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.utils.files import bytes_in

BUSY_SECONDS = 600.0
"""What was used within this time stays, however full the cache is: a job may be reading it."""

GIGABYTE = 1 << 30


@dataclass
class ArchiveCache:
    """Folders of fetched series and of volumes made of them.

    Args:
        folder: where all of it lies; it may be removed: everything is fetched again.
        address: of the archive.
        limit_bytes: what it may take; the series that has not been used for longest goes first.
        keep_seconds: after this time without use a series is forgotten.
    """

    folder: Path
    address: ArchiveAddress
    limit_bytes: int = 20 * GIGABYTE
    keep_seconds: float = 24 * 3600.0
    _locks: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock), init=False, repr=False
    )

    @property
    def volumes(self) -> Path:
        """Folder of the volumes that are made of series."""
        return self.folder / "volumes"

    def fetched(self, series: ArchiveSeries) -> Path:
        """Return the folder of a series, which is fetched if it is not there; that can take minutes.

        Raises:
            SemganError: it cannot be fetched, or not be written.
        """
        folder = self._place(series)
        with self._locks[series.series]:
            if not (folder / _whole(series)).is_file():
                self.tidy()
                fetch_series(Archive(self.address), series, folder)
                for mark in folder.glob(".whole-*"):
                    mark.unlink(missing_ok=True)
                (folder / _whole(series)).touch()
            used(folder)
        return folder

    def tidy(self, now: float | None = None) -> None:
        """Forget what was not used for long, and what is too much.

        Args:
            now: seconds since the epoch; the present time when left out.
        """
        moment = time.time() if now is None else now
        entries = sorted(self._entries(), key=lambda entry: -entry[1])
        taken = 0
        for folder, last in entries:
            size = bytes_in(folder)
            old = moment - last > self.keep_seconds
            if moment - last > BUSY_SECONDS and (old or taken + size > self.limit_bytes):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                taken += size

    def _place(self, series: ArchiveSeries) -> Path:
        return self.folder / "series" / series.name

    def _entries(self) -> Iterator[tuple[Path, float]]:
        """Give every folder with the time when it was used last."""
        for place in (self.folder / "series", self.volumes):
            with suppress(OSError):
                for entry in os.scandir(place):
                    if entry.is_dir(follow_symlinks=False):
                        yield Path(entry.path), entry.stat().st_mtime


def used(folder: Path) -> None:
    """Note that a folder is used now."""
    with suppress(OSError):
        os.utime(folder)


def _whole(series: ArchiveSeries) -> str:
    """Name of the file that says that a series in this state is there as a whole."""
    return f".whole-{series.state[:16]}"
