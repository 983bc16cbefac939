"""Which series an archive has, in the place of those that a folder holds."""

from __future__ import annotations

import logging

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.dicomweb.archive_series import ArchiveSeries
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
    """

    def __init__(self, address: ArchiveAddress) -> None:
        self.address = address
        self.trouble = ""
        self._looks = 0
        self._listed: dict[str, ArchiveSeries] = {}
        self._volumes: dict[str, bool] = {}
        self._last = Originals()

    def look(self) -> Originals:
        """List the series; what was listed last while the archive does not answer.

        Raises:
            SemganError: the archive has not answered even once.
        """
        try:
            self._last = self._found()
            if self.trouble:
                log.warning("the archive answers again")
            self.trouble = ""
        except ArchiveError as error:
            if not self._looks:
                raise
            if error.problem != self.trouble:
                log.warning("the archive could not be listed, what was listed before is served: %s", error)
            self.trouble = error.problem
        return self._last

    def series(self, image: str) -> ArchiveSeries | None:
        """Return the series of an image."""
        return self._listed.get(image)

    def _found(self) -> Originals:
        archive = Archive(self.address)
        listed = archive.list_series()
        volumes = {one.state: self._volumes.get(one.state) for one in listed}
        for one in listed:
            if volumes[one.state] is None:
                volumes[one.state] = archive.may_be_volume(one)
        served = {one.name: one for one in listed if volumes[one.state]}
        left_out = [LeftOut(one.name, SINGLE_IMAGES) for one in listed if not volumes[one.state]]
        series = {name: _as_original(name, one) for name, one in served.items()}
        self._looks += 1
        self._listed, self._volumes = served, {state: bool(kept) for state, kept in volumes.items()}
        return Originals(self._looks, [], series, left_out, 0)


def _as_original(name: str, series: ArchiveSeries) -> StudySeries:
    return StudySeries(name, name, series.series, (), series.state, ())
