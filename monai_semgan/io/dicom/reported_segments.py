"""What a report needs to know of a DICOM Segmentation: its names, and those, codes and origin of its segments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.uid import UID, generate_uid

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import raw_text, terms_of, text_of
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.headers import quiet, read_dataset
from monai_semgan.io.dicom.provenance_tags import IMAGES
from monai_semgan.io.dicom.seg_making import MAKER, valid_line
from monai_semgan.organs import Code

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = ["SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
        "SegmentSequence"]  # fmt: skip

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")


@dataclass(frozen=True)
class Algorithm:
    """What found a segment.

    Args:
        name: of the model; this program for what a person drew.
        version: of the same.
        parameters: such as the digest of the weights; empty where the file tells none.
    """

    name: str = MAKER
    version: str = __version__
    parameters: str = ""


@dataclass(frozen=True)
class ReportedSegment:
    """A segment that a report may refer to.

    Args:
        number: in its segmentation.
        name: of the structure.
        category: what kind of thing it is.
        kind: what it is.
        side: right or left.
        tracking_uid: name of the structure in this and further objects.
        algorithm: what found it.
    """

    number: int
    name: str
    category: Code
    kind: Code
    side: Code | None
    tracking_uid: str
    algorithm: Algorithm


@dataclass(frozen=True)
class ReportedSegmentation:
    """A segmentation that a report may refer to.

    Args:
        study_uid: of its study.
        series_uid: of its series.
        sop_class_uid: its class.
        sop_instance_uid: itself.
        segments: in the order of the file.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    segments: tuple[ReportedSegment, ...]

    @property
    def valid_uids(self) -> bool:
        """Whether its UIDs obey the standard; else checks have to be off while they are written."""
        tracked = (segment.tracking_uid for segment in self.segments)
        return all(UID(uid).is_valid for uid in (self.study_uid, self.series_uid, self.sop_instance_uid, *tracked))


def read_reported(segmentation: Path | Dataset) -> ReportedSegmentation:
    """Read names and segments of a segmentation.

    Args:
        segmentation: a file, or what is in it.

    Raises:
        SemganError: it is no segmentation, or lacks what it is referred to by.
    """
    if isinstance(segmentation, Path):
        return _read(read_dataset(DicomFile(segmentation), tags=TAGS), segmentation)
    return _read(segmentation, None)


def _read(dataset: Dataset, path: Path | None) -> ReportedSegmentation:
    try:
        with quiet():
            study, series, kind, instance = (raw_text(dataset, name).strip("\0 ") for name in _UIDS)
            terms = terms_of(dataset, [""])
            segments = tuple(_segment(item, terms) for item in dataset.get("SegmentSequence") or ())
    except Exception as error:  # damaged files make pydicom raise nearly anything
        raise _refusal("not a readable DICOM segmentation", path) from error
    if kind not in IMAGES or not all((study, series, instance, segments)):
        raise _refusal("is no DICOM segmentation that a report can refer to", path)
    return ReportedSegmentation(study, series, kind, instance, segments)


def _refusal(problem: str, path: Path | None) -> SemganError:
    return SemganError(problem, remedy="give the DICOM segmentation that the volumes were measured on", path=path)


def _segment(item: Dataset, terms: list[str]) -> ReportedSegment:
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or ()
    terms = terms_of(item, terms)
    number = int(item.SegmentNumber)
    return ReportedSegment(
        number,
        _text(item, "SegmentLabel", terms, f"segment {number}"),
        _code(item.SegmentedPropertyCategoryCodeSequence[0], terms),
        _code(kind, terms),
        _code(sides[0], terms) if sides else None,
        raw_text(item, "TrackingUID").strip("\0 ") or generate_uid(),
        _algorithm(item, terms),
    )


def _algorithm(item: Dataset, terms: list[str]) -> Algorithm:
    found = item.get("SegmentationAlgorithmIdentificationSequence")
    if not found:
        return Algorithm()
    name, version = _text(found[0], "AlgorithmName", terms, MAKER), _text(found[0], "AlgorithmVersion", terms, "")
    return Algorithm(name, version or __version__, text_of(found[0], "AlgorithmParameters", terms)[0].strip("\0 "))


def _code(item: Dataset, terms: list[str]) -> Code:
    value, scheme = (raw_text(item, name).strip("\0 ") for name in ("CodeValue", "CodingSchemeDesignator"))
    return Code(value, _text(item, "CodeMeaning", terms, value), scheme)


def _text(item: Dataset, keyword: str, terms: list[str], otherwise: str) -> str:
    return valid_line(text_of(item, keyword, terms)[0], otherwise)
