"""Header of a result in DICOM: patient and study of the scan with all values valid, made before any computation.

Text is decoded from the scan's character set (`character_sets`), values are mended or left blank (`header_values`), and
one note names what became of which attribute; it never repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pydicom
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import BaseTag

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import TEXT_VRS, raw_text, terms_of, text_of
from monai_semgan.io.dicom.header_values import mend
from monai_semgan.io.dicom.headers import quiet, read_dataset

if TYPE_CHECKING:
    from monai_semgan.io.dicom.source import DicomSource

EMPTY_TAGS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
"""Tags that have to be there but may be empty; removing them is how some programs de-identify."""

PATIENT_GROUPS = (0x0010, 0x0012)

STUDY_TAGS = (
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence", "StudyDescription", "ProcedureCodeSequence", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence", "ReferencedStudySequence", "RequestingService",
    "RequestingServiceCodeSequence", "ReasonForPerformedProcedureCodeSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "ReferencedPatientSequence", "ReasonForVisit", "ReasonForVisitCodeSequence",
    "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence", "PatientState", "PositionReferenceIndicator",
    "CodingSchemeIdentificationSequence",
)  # fmt: skip

DEVICE_TAGS = (
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "InstitutionName",
    "StationName", "InstitutionalDepartmentName", "InstitutionAddress", "AcquisitionDateTime", "SeriesNumber",
    "Modality", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
"""What a result says of the scanner, or what its own header is made from; mended without a note."""

UIDS = ("FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

NUMBERS = ("US", "SS", "UL", "SL", "FL", "FD", "AT")


@dataclass(frozen=True, eq=False)
class Reference:
    """An image that a result refers to.

    Args:
        instance: UID of the file.
        kind: UID of its class.
        series: UID of its series.
    """

    instance: str
    kind: str
    series: str


@dataclass(frozen=True, eq=False)
class ResultHeader:
    """What results of a scan say of patient and study, and what they refer to.

    Args:
        common: patient, study and scanner, every value valid.
        study: UID.
        frame_of_reference: UID.
        references: one per file of the source, in its order.
        valid_uids: whether all UIDs obey the standard; else checks have to be off while they are written.
        notes: what differs from the scan's header.
    """

    common: Dataset
    study: str
    frame_of_reference: str
    references: tuple[Reference, ...]
    valid_uids: bool
    notes: tuple[str, ...]

    def by_series(self) -> dict[str, list[Reference]]:
        """References by UID of their series, none twice though files may bear one UID."""
        unique = {reference.instance: reference for reference in self.references}
        series: dict[str, list[Reference]] = {}
        for reference in unique.values():
            series.setdefault(reference.series, []).append(reference)
        return series


@lru_cache(maxsize=2)  # checked before a computation, used after it
def result_header(source: DicomSource) -> ResultHeader:
    """Make the header of a result.

    Args:
        source: the scan's files.

    Raises:
        SemganError: the scan lacks UIDs to refer to, or a file cannot be read.
    """
    first = source.files[0]
    with quiet():
        dataset = read_dataset(first)
        _check_uids(dataset, str(first.path))
        study, frame_of_reference = (_uid(dataset, name) for name in ("StudyInstanceUID", "FrameOfReferenceUID"))
        references = tuple(_references(source))
        common, notes = _common(dataset)
    uids = {study, frame_of_reference, *(uid for one in references for uid in (one.instance, one.kind, one.series))}
    valid = all(pydicom.uid.UID(uid).is_valid for uid in uids)
    if not valid:
        notes += ("UIDs of the scan are not valid in DICOM; the result refers to it by them as they are.",)
    return ResultHeader(common, study, frame_of_reference, references, valid, notes)


def _check_uids(dataset: Dataset, path: str) -> None:
    for name in UIDS:
        if not _uid(dataset, name):
            problem = f"the scan has no {name}, which a DICOM segmentation refers to"
            raise SemganError(problem, remedy="use .seg.nrrd or .nii.gz", path=path)


def _uid(dataset: Dataset, name: str) -> str:
    """A UID as it is, valid or not, unless it is no name at all."""
    text = raw_text(dataset, name).strip("\0 \t\r\n")
    return text if re.fullmatch(r"[!-\[\]-~]+", text) else ""


def _references(source: DicomSource) -> Iterator[Reference]:
    tags = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]
    for file in source.files:
        dataset = read_dataset(file, tags=tags)
        kind, instance, series = (_uid(dataset, name) for name in tags)
        if not (kind and instance and series):
            raise SemganError(
                "the file lacks UIDs, which a DICOM segmentation refers to",
                remedy="use .seg.nrrd or .nii.gz",
                path=file.path,
            )
        yield Reference(instance, kind, series)


def _common(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    remarks: dict[str, list[str]] = {}
    keywords = [keyword_for_tag(tag) for tag in _tags(dataset) if tag.group in PATIENT_GROUPS]
    copied = Dataset()
    terms = terms_of(dataset, [""])
    for keyword in dict.fromkeys([*filter(None, keywords), *STUDY_TAGS]):
        _copy(dataset, copied, keyword, terms, remarks)
    for keyword in DEVICE_TAGS:
        _copy(dataset, copied, keyword, terms, {})
    for keyword in EMPTY_TAGS:
        if keyword not in copied:
            setattr(copied, keyword, "")
    sentences = [f"{', '.join(dict.fromkeys(names))} {what}" for what, names in sorted(remarks.items(), reverse=True)]
    note = f"The header of the result differs from the scan's, whose values are not valid: {'; '.join(sentences)}."
    return copied, (note,) if sentences else ()


def _tags(dataset: Dataset) -> list[BaseTag]:
    """Public tags; to go through the elements themselves would decode them."""
    return [tag for tag in list(dataset.keys()) if not tag.is_private]


def _copy(source: Dataset, target: Dataset, keyword: str, terms: list[str], remarks: dict[str, list[str]]) -> None:
    """Copy an element with its values mended, and remark where they differ."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in source:
        return
    vr = dictionary_VR(tag)
    try:
        if vr == "SQ":
            items = [_copied_item(item, terms, remarks) for item in source[tag].value]
            if any(len(item) for item in items):
                setattr(target, keyword, items)
        elif vr in NUMBERS:
            target.add(DataElement(tag, vr, source[tag].value))
        elif vr in TEXT_VRS or vr in ("CS", "DA", "TM", "DT", "AS", "DS", "IS", "UI", "UR"):
            _copy_text(source, target, keyword, terms, remarks)
    except Exception:  # whatever an odd header makes pydicom raise: this element stays out
        target.pop(tag, None)
        remarks.setdefault("left out", []).append(keyword)


def _copied_item(item: Dataset, terms: list[str], remarks: dict[str, list[str]]) -> Dataset:
    copied, terms = Dataset(), terms_of(item, terms)
    for keyword in map(keyword_for_tag, _tags(item)):
        if keyword not in ("", "SpecificCharacterSet"):
            _copy(item, copied, keyword, terms, remarks)
    return copied


def _copy_text(source: Dataset, target: Dataset, keyword: str, terms: list[str], remarks: dict[str, list[str]]) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr, single = dictionary_VR(tag), dictionary_VM(tag) == "1"
    text, promised = text_of(source, keyword, terms)
    values = mend(keyword, vr, text, single)
    blank, before = not any(values), text.strip("\0 ")
    if not promised and not blank:
        remarks.setdefault("read in another character set than declared", []).append(keyword)
    if before and blank:
        remarks.setdefault("left blank", []).append(keyword)
    elif [value.rstrip(" ") for value in values] != [value.strip("\0 ") for value in before.split("\\")] and (
        vr not in ("ST", "LT", "UT") or values[0] != before
    ):
        remarks.setdefault("mended", []).append(keyword)
    value = values[0] if len(values) == 1 else values
    target.add(DataElement(tag, vr, value, validation_mode=pydicom.config.RAISE))
