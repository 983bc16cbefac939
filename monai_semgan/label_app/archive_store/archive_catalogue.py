"""Which series an archive has, in the place of those that a folder holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
from monai_semgan.label_app.archive_store.archive_volumes import SeriesVolumes
from monai_semgan.label_app.studies.catalogue import Originals
from monai_semgan.label_app.studies.study_models import LeftOut
from monai_semgan.label_app.studies.study_series import StudySeries

log = logging.getLogger(__name__)

SINGLE_IMAGES = "single images, no volume"


class ArchiveCatalogue:
    """Lists the CT and MR series of an archive.

    Attributes:
        trouble: why the last listing failed; empty if it did not.

    Args:
        address: of the archive, and what series have to match.
        volumes: which series hold several volumes.
    """

    def __init__(self, address: ArchiveAddress, volumes: SeriesVolumes) -> None:
        self.address, self.volumes = address, volumes
        self.trouble = ""
        self._lock = threading.Lock()
        self._looks = 0
        self._listed: list[tuple[ArchiveSeries, bool]] = []
        self._series: dict[str, ArchiveSeries] = {}
        self._answered = False

    def update(self) -> None:
        """List the series; what was listed last stays while the archive does not answer.

        Raises:
            SemganError: the archive has not answered even once.
        """
        try:
            self._list()
        except ArchiveError as error:
            if not self._answered:
                raise
            if error.problem != self.trouble:
                log.warning("the archive could not be listed, what was listed before is served: %s", error)
            self.trouble = error.problem
            return
        if self.trouble:
            log.warning("the archive answers again")
        self.trouble, self._answered = "", True

    def look(self) -> Originals:
        """Return what was listed last; asks nobody."""
        with self._lock:
            self._looks += 1
            found = [(image, one) for one, served in self._listed if served for image in self._images(one)]
            self._series = {image.id: one for image, one in found}
            left_out = [LeftOut(one.name, SINGLE_IMAGES) for one, served in self._listed if not served]
            return Originals(self._looks, [], {image.id: image for image, _ in found}, left_out, 0)

    def series(self, image: str) -> ArchiveSeries | None:
        """Return the series of an image."""
        return self._series.get(image)

    def _list(self) -> None:
        archive = Archive(self.address)
        known = {one.state: served for one, served in self._listed}
        listed = archive.list_series()
        self._listed = [(one, known[one.state] if one.state in known else archive.may_be_volume(one)) for one in listed]

    def _images(self, series: ArchiveSeries) -> Iterator[StudySeries]:
        """Give the images of a series: itself, or the volumes that it is known to hold."""
        volumes = [(one.image, one.wanted) for one in self.volumes.of(series)]
        for image, wanted in volumes or [(series.name, series.series)]:
            yield StudySeries(image, series.name, wanted, (), series.state, ())
