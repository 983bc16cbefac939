"""What an archive tells of a series, by its answer to QIDO-RS (PS3.18 10.6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_semgan.dicomweb.archive_address import ArchiveAddress, is_uid
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.series_ids import series_id
from monai_semgan.modalities import canonical_modality
from monai_semgan.utils.file_state import fingerprint

FIELDS = ("Modality", "SeriesNumber", "SeriesDescription", "StudyDescription", "NumberOfSeriesRelatedInstances")
"""Asked for besides the UIDs."""

TAGS = {
    "study": "0020000D",
    "series": "0020000E",
    "modality": "00080060",
    "number": "00200011",
    "description": "0008103E",
    "study_description": "00081030",
    "images": "00201209",
    "instance": "00080018",
    "frames": "00280008",
}


@dataclass(frozen=True)
class ArchiveSeries:
    """A series in an archive.

    Args:
        study: UID.
        series: UID.
        modality: as the project spells it, such as `CT` or `MR`; as it stands where it is none of those.
        number: of the series, as text; may be empty.
        description: of the series; may be empty.
        study_description: likewise.
        images: how many instances it has; None where the archive does not tell.
    """

    study: str
    series: str
    modality: str = ""
    number: str = ""
    description: str = ""
    study_description: str = ""
    images: int | None = None

    @property
    def name(self) -> str:
        """Return an id in which nothing of the patient stands, as of the same series in a folder."""
        return series_id(self.modality, self.number, self.series, "")

    @property
    def state(self) -> str:
        """Return a hash that changes when instances come or go."""
        return fingerprint([self.study, self.series, self.images])

    @property
    def line(self) -> str:
        """Tell it in one line, without a word that the patient could stand in."""
        count = "" if self.images is None else f", {self.images} image{'s' if self.images != 1 else ''}"
        return f"{self.number or self.series}: {self.modality or 'unknown'}{count}"

    def is_called(self, wanted: str) -> bool:
        """Tell whether a number or UID, as `--series` takes it, means this series."""
        return wanted in (self.number, self.series)

    def address(self, archive: ArchiveAddress) -> ArchiveAddress:
        """Return the address of this series alone."""
        wanted = (("StudyInstanceUID", self.study), ("SeriesInstanceUID", self.series))
        return ArchiveAddress(archive.url, wanted)


def parse_series(answer: Mapping[str, Any], asked: ArchiveAddress) -> ArchiveSeries | None:
    """Read one entry of an answer; None if it has no UIDs that could be such.

    Args:
        answer: DICOM JSON of a series.
        asked: what was asked for, which says the study where the answer does not.
    """
    study = text_of(answer, "study") or asked.uid("StudyInstanceUID") or ""
    series = text_of(answer, "series")
    if not (is_uid(study) and is_uid(series)):
        return None
    images = text_of(answer, "images")
    return ArchiveSeries(
        study,
        series,
        _modality(text_of(answer, "modality")),
        text_of(answer, "number"),
        text_of(answer, "description"),
        text_of(answer, "study_description"),
        int(images) if images.isdecimal() else None,
    )


def text_of(answer: Mapping[str, Any], name: str) -> str:
    """Return the first value of an attribute as text, on one line; empty if there is none.

    Args:
        answer: DICOM JSON.
        name: one of `TAGS`.
    """
    try:
        value = answer[TAGS[name]]["Value"][0]
    except (KeyError, TypeError, IndexError):
        return ""
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def _modality(text: str) -> str:
    try:
        return canonical_modality(text)
    except SemganError:
        return text
