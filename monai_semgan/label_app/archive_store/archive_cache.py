"""Series that were fetched from an archive, and the volumes made of them: bounded, and forgotten after a time."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.dicomweb.series_download import fetch_series
from monai_semgan.label_app.archive_store.background_work import Ending
from monai_semgan.label_app.server.options import GIGABYTE
from monai_semgan.utils.files import bytes_in, write_error

BUSY_SECONDS = 600.0
"""What was used within this time stays, however full the cache is: somebody may be reading it."""


def _nothing() -> Collection[Path]:
    return ()


@dataclass
class ArchiveCache:
    """Folders of fetched series and of volumes made of them.

    Args:
        folder: where all of it lies; it may be removed: everything is fetched again.
        address: of the archive.
        limit_bytes: what it may take; what has not been used for longest goes first.
        keep_seconds: after this time without use it is forgotten.
        in_use: returns folders that stay in any case, such as those that jobs read or wait for.
        clock: seconds since the epoch.
    """

    folder: Path
    address: ArchiveAddress
    limit_bytes: int = 20 * GIGABYTE
    keep_seconds: float = 24 * 3600.0
    in_use: Callable[[], Collection[Path]] = _nothing
    clock: Callable[[], float] = time.time
    _fetching: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock), init=False, repr=False
    )
    _ending: Ending = field(default_factory=Ending, init=False, repr=False)
    _removing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def volumes(self) -> Path:
        """Folder of the volumes that are made of series."""
        return self.folder / "volumes"

    @property
    def series(self) -> Path:
        """Folder of the series, each with its DICOM files in a folder of its own."""
        return self.folder / "series"

    def fetched(self, series: ArchiveSeries) -> Path:
        """Return the folder of a series, which is fetched if it is not there; that can take minutes.

        Raises:
            SemganError: it cannot be fetched, or not be written.
        """
        folder = self.series / series.name
        mark = folder / f".whole-{series.state[:16]}"
        with self._fetching[series.series]:
            if not self.use(mark, folder):
                self.tidy()
                make_private(self.folder)
                self._fetch(series, folder)  # removes the marks of earlier states
                mark.touch()
        return folder

    def close(self) -> None:
        """Let nobody wait for the archive any more."""
        self._ending.end()

    def _fetch(self, series: ArchiveSeries, folder: Path) -> None:
        fetching = self._ending.in_background(lambda: fetch_series(Archive(self.address), series, folder))
        if not self._ending.done(fetching):
            raise ArchiveError("the server is stopping", remedy="ask again when it runs", passing=True)
        fetching.result()

    def use(self, file: Path, entry: Path) -> bool:
        """Tell whether a file is there, and note that its entry is used now.

        Args:
            file: below the entry.
            entry: folder of a series, or of the volumes of an image.
        """
        with self._removing:
            if not file.is_file():
                return False
            with suppress(OSError):
                os.utime(entry, (self.clock(), self.clock()))
            return True

    def tidy(self) -> None:
        """Forget what was not used for long, and what is too much."""
        now, held = self.clock(), set(self.in_use())
        entries = sorted(self._entries(), key=lambda entry: (entry[0] not in held, -entry[1]))
        taken = 0
        for folder, last in entries:
            size, age = bytes_in(folder), now - last
            stays = folder in held or age <= BUSY_SECONDS
            if not stays and (age > self.keep_seconds or taken + size > self.limit_bytes):
                self._remove(folder, last)
            else:
                taken += size

    def _remove(self, folder: Path, last: float) -> None:
        """Remove a folder unless somebody has used it since; nobody finds it while its files go."""
        aside = folder.with_name(f".{secrets.token_hex(8)}")
        with self._removing, suppress(OSError):
            if os.stat(folder).st_mtime > last:
                return
            os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _entries(self) -> Iterator[tuple[Path, float]]:
        """Give every folder with the time when it was used last."""
        for place in (self.series, self.volumes):
            with suppress(OSError):
                for entry in os.scandir(place):
                    if entry.is_dir(follow_symlinks=False):
                        yield Path(entry.path), entry.stat().st_mtime


def make_private(folder: Path) -> None:
    """Make a folder that other users of the computer cannot enter: patients are named in it.

    Raises:
        SemganError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise write_error(error, folder) from error
