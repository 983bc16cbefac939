"""Writes volumes of segments as a structured report, TID 1500 (PS3.16), with highdicom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Coded
from pydicom.uid import generate_uid

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import UNICODE, declare_character_set
from monai_semgan.io.dicom.coding_schemes import declare_coding_schemes
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.io.dicom.provenance import Provenance, ResultUids
from monai_semgan.io.dicom.provenance_tags import has_valid_uids
from monai_semgan.io.dicom.reported_segments import ReportedSegment, ReportedSegmentation, read_reported
from monai_semgan.io.dicom.result_header import ResultHeader, result_header
from monai_semgan.io.dicom.seg_making import MAKER, concept, series_number
from monai_semgan.io.dicom.seg_writing import check_highdicom, check_reference
from monai_semgan.io.volume import Volume
from monai_semgan.organs import structure_key
from monai_semgan.utils.files import check_output, written_aside
from monai_semgan.utils.loggers import silenced

if TYPE_CHECKING:
    from collections.abc import Iterable

PROCEDURES = {
    "CT": Coded("25045-6", "LN", "CT unspecified body region"),
    "MR": Coded("25056-3", "LN", "MRI unspecified body region"),
    "PT": Coded("44136-0", "LN", "PET unspecified body region"),
    "NM": Coded("49118-3", "LN", "NM unspecified body region"),
}
"""What was done to the patient, by modality (CID 100)."""

OTHER_PROCEDURE = Coded("363679005", "SCT", "Imaging")

VOLUME = Coded("118565006", "SCT", "Volume")

MILLILITRE = Coded("cm3", "UCUM", "cubic centimeter")
"""As DICOM's units of volume have it (CID 7462)."""

ANATOMY = "91723000"
"""Code of the category whose members are places in the body, too."""

REPORTS = "1.2.840.10008.5.1.4.1.1.88."
"""How the UIDs of classes of structured reports begin."""


def write_volume_report(
    segmentation: str | Path | Dataset,
    like: Volume,
    path: str | Path,
    volumes_ml: Mapping[str, float],
    provenance: Provenance | None = None,
    uids: ResultUids | None = None,
) -> Path:
    """Write the volumes of a segmentation's structures as a structured report, unverified and preliminary.

    The report refers to the segments, and to the scan that they were made from. It is complete, but nobody has verified
    it: that is for the radiologist who takes it over.

    Args:
        segmentation: a file that `write_dicom_seg` wrote, or what is in it.
        like: the scan, read from DICOM.
        path: where to; ends with `.dcm`.
        volumes_ml: volume by name of the structure, in ml; those that were not found, of 0 ml, are left out.
        provenance: how the segmentation was made; of what it replaces, only earlier reports count. The model is taken
            from the segmentation.
        uids: names of the report; new ones when left out.

    Returns:
        The file.

    Raises:
        SemganError: highdicom is missing, the segmentation is none or of another study, a structure is not in it, a
            volume is no number, or there is none to report.
    """
    path = check_output(path, (".dcm",))
    check_highdicom(path)
    source = check_reference(like, path)
    header = result_header(source)
    reported = read_reported(Path(segmentation) if isinstance(segmentation, str) else segmentation)
    if reported.study_uid != header.study:
        problem = "the segmentation belongs to another study than the scan"
        raise SemganError(problem, remedy="check which segmentation belongs to which scan", path=path)
    measured = _measured(reported, volumes_ml, path)
    provenance = _of_reports(provenance or Provenance())
    valid = header.valid_uids and has_valid_uids(provenance) and reported.valid_uids
    checks = nullcontext() if valid else pydicom.config.disable_value_validation()
    with quiet(), silenced("highdicom"), checks:
        try:
            document = _document(header, reported, measured, provenance, uids)
        except Exception as error:  # nobody knows all that highdicom refuses
            problem = f"highdicom cannot make a report of this segmentation ({type(error).__name__})"
            raise SemganError(problem, remedy="leave the report out", path=path) from error
        with written_aside(path) as temporary:
            document.save_as(temporary)
    return path


def _of_reports(provenance: Provenance) -> Provenance:
    """What of it holds for a report: it takes the place of earlier reports only."""
    earlier = tuple(one for one in provenance.replaces if one.sop_class_uid.startswith(REPORTS))
    return replace(provenance, replaces=earlier)


def _measured(
    reported: ReportedSegmentation, volumes_ml: Mapping[str, float], path: Path
) -> list[tuple[ReportedSegment, float]]:
    """Segments with their volumes in ml."""
    measured = []
    for name, volume in volumes_ml.items():
        if not math.isfinite(volume) or volume < 0:
            raise SemganError(f"the volume of {name} is {volume} ml", remedy="give a number, 0 or more", path=path)
        if volume == 0:
            continue
        found = [one for one in reported.segments if structure_key(one.name) == structure_key(name)]
        if not found:
            names = ", ".join(one.name for one in reported.segments)
            problem = f"the segmentation has no segment for the volume of {name}; its segments are {names}"
            raise SemganError(problem, remedy="give the volumes of this segmentation", path=path)
        measured.append((found[0], float(volume)))
    if not measured:
        raise SemganError("there is no volume to report", remedy="leave the report out", path=path)
    return measured


def _document(
    header: ResultHeader,
    reported: ReportedSegmentation,
    measured: list[tuple[ReportedSegment, float]],
    provenance: Provenance,
    uids: ResultUids | None,
) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    algorithm = measured[0][0].algorithm
    report = highdicom.sr.MeasurementReport(
        observation_context=_observers(algorithm.name, algorithm.version, provenance),
        procedure_reported=PROCEDURES.get(str(header.common.get("Modality", "")), OTHER_PROCEDURE),
        imaging_measurements=[_group(header, reported, segment, volume) for segment, volume in measured],
    )
    report[0].ContentSequence.append(
        highdicom.sr.TextContentItem(codes.DCM.Comment, provenance.content_description, "CONTAINS")
    )
    document = highdicom.sr.EnhancedSR(
        evidence=list(_evidence(header, reported)),
        content=report,
        series_instance_uid=uids.series_uid if uids else highdicom.UID(),
        series_number=series_number(header.common) + 1,
        sop_instance_uid=uids.sop_instance_uid if uids else highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=algorithm.name,
        software_versions=__version__,
        device_serial_number=algorithm.version,
        series_description=provenance.series_description("Volumes"),
        is_complete=True,
        previous_versions=[_instance(*one.uids) for one in provenance.replaces] or None,
        specific_character_set=UNICODE,
    )
    declare_coding_schemes(document, header.common)
    declare_character_set(document)
    return document


def _observers(model: str, version: str, provenance: Provenance) -> Any:
    """This program, and the person who answers for the segments."""
    from highdicom import sr  # noqa: PLC0415 - optional extra

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MAKER, __version__]),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=model,
        serial_number=version,
    )
    person = None
    if provenance.person:
        attributes = sr.PersonObserverIdentifyingAttributes(provenance.person)
        person = sr.ObserverContext(codes.DCM.Person, attributes)
    return sr.ObservationContext(person, sr.ObserverContext(codes.DCM.Device, device))


def _group(header: ResultHeader, reported: ReportedSegmentation, segment: ReportedSegment, volume: float) -> Any:
    """Volume in ml of a segment, with what it is and where it lies (TID 1411)."""
    from highdicom import sr  # noqa: PLC0415 - optional extra

    sites = None
    if segment.category.value == ANATOMY:
        side = concept(segment.side) if segment.side is not None else None
        sites = [sr.FindingSite(concept(segment.kind), laterality=side)]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(segment.tracking_uid, segment.name),
        referenced_segment=_referenced(header, reported, segment.number),
        finding_category=concept(segment.category),
        finding_type=concept(segment.kind),
        finding_sites=sites,
        algorithm_id=sr.AlgorithmIdentification(
            segment.algorithm.name,
            segment.algorithm.version,
            [segment.algorithm.parameters] if segment.algorithm.parameters else None,
        ),
        measurements=[sr.Measurement(VOLUME, volume, MILLILITRE)],
    )


def _referenced(header: ResultHeader, reported: ReportedSegmentation, number: int) -> Any:
    """A segment, with the series that it was made from, or the images where they lie in several series."""
    from highdicom import sr  # noqa: PLC0415 - optional extra

    series = list(header.by_series())
    where: dict[str, Any] = {}
    if len(series) == 1:
        where["source_series"] = sr.SourceSeriesForSegmentation(series[0])
    else:
        where["source_images"] = [sr.SourceImageForSegmentation(one.kind, one.instance) for one in header.references]
    return sr.ReferencedSegment(reported.sop_class_uid, reported.sop_instance_uid, number, **where)


def _evidence(header: ResultHeader, reported: ReportedSegmentation) -> Iterable[Dataset]:
    """The segmentation, with all that the report shall say of patient and study, and the images."""
    first = _instance(reported.study_uid, reported.series_uid, reported.sop_class_uid, reported.sop_instance_uid)
    first.update(header.common)
    yield first
    for one in header.references:
        yield _instance(header.study, one.series, one.kind, one.instance)


def _instance(study: str, series: str, kind: str, instance: str) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, instance
    return dataset
