"""MONAI Label's datastore over an archive: series are fetched when they are needed, labels are kept here and sent."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.errors import SemganError
from monai_semgan.label_app.archive_store.archive_cache import ArchiveCache
from monai_semgan.label_app.archive_store.archive_catalogue import ArchiveCatalogue
from monai_semgan.label_app.archive_store.archive_volumes import SeriesVolumes, several_volumes
from monai_semgan.label_app.archive_store.archive_watch import ArchiveWatch
from monai_semgan.label_app.datastore import PRIVATE, StudiesDatastore
from monai_semgan.label_app.label_facts import LabelVersion
from monai_semgan.label_app.studies.converted_volumes import ConvertedVolumes
from monai_semgan.label_app.studies.study_models import StudyImage

TIDY_SECONDS = 60.0
"""Between two times that all files in the cache are counted."""


@dataclass(frozen=True)
class ScanFiles:
    """An image's DICOM files.

    Args:
        folder: where they lie.
        series: what the reader of DICOM takes: the UID of the series, and which of its volumes.
    """

    folder: Path
    series: str


@dataclass(frozen=True)
class CopiedLabel:
    """A copy of a label, with what was noted of it at that moment.

    Args:
        file: the copy.
        facts: what the label was made by.
        info: what is noted of it.
    """

    file: Path
    facts: LabelVersion
    info: dict[str, Any]


class ArchiveDatastore(StudiesDatastore):
    """The CT and MR series of an archive as images.

    Args:
        address: of the archive, and what series have to match.
        home: folder for labels and all else that is written.
        auto_reload: whether the archive is listed again and again.
        read_only: whether the list of images is left as it is at the start.
        limit_bytes: see `ArchiveCache`.
        keep_seconds: see `ArchiveCache`.

    Attributes:
        on_removed_label: is told image and tag of a label that was removed.

    Raises:
        SemganError: the archive does not answer.
    """

    def __init__(
        self,
        address: ArchiveAddress,
        home: Path,
        auto_reload: bool = True,
        read_only: bool = False,
        *,
        limit_bytes: int,
        keep_seconds: float,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.on_removed_label: Callable[[str, str], None] = lambda image, tag: None
        self._archive = ArchiveCatalogue(address, SeriesVolumes(home / PRIVATE / "series_volumes.json"))
        self._archive.update()
        self.cache = ArchiveCache(home / PRIVATE / "archive", address, limit_bytes, keep_seconds)
        super().__init__(str(self.cache.series), False, read_only, str(home), catalogue=self._archive)
        self._converted = ConvertedVolumes(self.cache.volumes)
        self._tidied = 0.0
        if auto_reload:
            self._auto_reload = True
            self._watch = ArchiveWatch(self._look)

    def close(self) -> None:
        """Stop looking into the archive, and waiting for it."""
        super().close()
        self.cache.close()

    def series(self, image_id: str) -> ArchiveSeries | None:
        """Return the series of an image; None for one that a client has sent, or that the archive has no more."""
        return None if not self.is_original(image_id) else self._archive.series(image_id)

    def dicom_files(self, image_id: str) -> ScanFiles:
        """Return an image's DICOM files, which are fetched if they are not there.

        Raises:
            SemganError: they cannot be had.
        """
        series = self.series(image_id)
        with self._mutex:
            known = self._originals.series.get(image_id)
        if series is None or known is None:
            raise _gone()
        try:
            return ScanFiles(self.cache.fetched(series), known.series)
        except ArchiveError as error:
            self._look_again()  # it may have changed
            if error.status == 404:
                raise _gone() from error
            raise

    def copied_label(self, image_id: str, tag: str, folder: Path) -> CopiedLabel | None:
        """Copy a reader's label, while nobody can replace it; None if there is none, or a model has put it there.

        Args:
            image_id: whose label it is.
            tag: of the label.
            folder: where to.

        Raises:
            OSError: it cannot be copied.
        """
        with self._mutex:
            present = self.present_label(image_id, tag)
            if present is None or present.facts.by_model:
                return None
            copy = Path(shutil.copyfile(present.file, folder / present.file.name))
            return CopiedLabel(copy, present.facts, dict(self.get_label_info(image_id, tag)))

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label, see `LabelsDatastore`."""
        super().remove_label(label_id, label_tag)
        self.on_removed_label(label_id, label_tag)

    def volume_folder(self, image_id: str) -> Path:
        """Return the folder in the cache where the files that are made of an image lie."""
        return self._converted.place(image_id, "", "").parents[1]

    def trouble(self) -> str:
        """Return why the archive could not be listed; empty if it could."""
        return self._archive.trouble

    def told_at_start(self) -> list[str]:
        """Return what the person who starts the server should know."""
        images = len(self.list_images())
        told = [] if images else ["no images: the archive has no CT or MR series that fits"]
        count = len(self.left_out())
        if count:
            told.append(f"{count} series left out; GET /semgan/studies tells which and why")
        return told

    def _volume(self, image_id: str, image: StudyImage, path: Path) -> Path:
        if image.uploaded:
            return super()._volume(image_id, image, path)
        if not self.cache.use(path, path.parents[1]):
            scan = self.dicom_files(image_id)
            self._convert(image_id, scan, path)
            self.cache.use(path, path.parents[1])
            self.cache.tidy()
        return path

    def _convert(self, image_id: str, scan: ScanFiles, path: Path) -> None:
        try:
            self._converted.file(scan.folder, path, scan.series, None)
        except SemganError:
            series = self.series(image_id)
            volumes = self._archive.volumes.learn(series, scan.folder) if series is not None else ()
            if not volumes or any(one.wanted == scan.series for one in volumes):
                raise
            self.refresh()
            raise several_volumes(volumes) from None
        state = self.image_state(image_id)
        if state:  # made once more, it is the same file to jobs that were done with it before
            seconds = int(state[:7], 16)
            os.utime(path, (seconds, seconds))

    def _look(self) -> None:
        self._archive.update()
        self.refresh()
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self.cache.tidy()
            self._tidied = time.monotonic()


def _gone() -> ArchiveError:
    return ArchiveError("the archive does not have the series any more", remedy="list the images again", status=404)
