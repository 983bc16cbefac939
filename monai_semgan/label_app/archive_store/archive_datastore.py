"""MONAI Label's datastore over an archive: series are fetched when they are needed, labels are kept here and sent."""

from __future__ import annotations

from pathlib import Path

from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.label_app.archive_store.archive_cache import ArchiveCache, used
from monai_semgan.label_app.archive_store.archive_catalogue import ArchiveCatalogue
from monai_semgan.label_app.archive_store.archive_watch import ArchiveWatch
from monai_semgan.label_app.datastore import PRIVATE, StudiesDatastore
from monai_semgan.label_app.studies.converted_volumes import ConvertedVolumes
from monai_semgan.label_app.studies.study_models import StudyImage


class ArchiveDatastore(StudiesDatastore):
    """The CT and MR series of an archive as images.

    Args:
        address: of the archive, and what series have to match.
        home: folder for labels and all else that is written.
        auto_reload: whether the archive is listed again and again.
        read_only: whether the list of images is left as it is at the start.
        limit_bytes: see `ArchiveCache`.
        keep_seconds: see `ArchiveCache`.

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
        self._archive = ArchiveCatalogue(address)
        self.cache = ArchiveCache(home / PRIVATE / "archive", address, limit_bytes, keep_seconds)
        super().__init__(str(self.cache.folder / "series"), False, read_only, str(home), catalogue=self._archive)
        self._converted = ConvertedVolumes(self.cache.volumes)
        if auto_reload:
            self._auto_reload = True
            self._watch = ArchiveWatch(self._look)

    def series(self, image_id: str) -> ArchiveSeries | None:
        """Return the series of an image; None for one that a client has sent, or that the archive has no more."""
        return None if not self.is_original(image_id) else self._archive.series(image_id)

    def dicom_files(self, image_id: str) -> Path:
        """Return the folder of an image's DICOM files, which are fetched if they are not there.

        Raises:
            SemganError: they cannot be had.
        """
        series = self.series(image_id)
        if series is None:
            raise ArchiveError("the archive has no such series", remedy="list the images again", status=404)
        try:
            return self.cache.fetched(series)
        except ArchiveError:
            self._look_again()  # it may have changed
            raise

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
        if not path.is_file():
            made = self._converted.file(self.dicom_files(image_id), path, "", None)
            self.cache.tidy()
        else:
            made = path
        used(made.parents[1])
        return made

    def _look(self) -> None:
        self.refresh()
        self.cache.tidy()
