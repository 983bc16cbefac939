"""Writes an RT Structure Set (PS3.3 A.19): contours of labels, for radiotherapy planning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom import DataElement, Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import declare_character_set
from monai_semgan.io.dicom.coding_schemes import code_item, declare_coding_schemes
from monai_semgan.io.dicom.contours import outlines
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.io.dicom.provenance import Provenance, ResultUids
from monai_semgan.io.dicom.provenance_tags import add_references, add_to_hierarchy, has_valid_uids
from monai_semgan.io.dicom.result_header import Reference, ResultHeader, result_header
from monai_semgan.io.dicom.seg_making import MAKER, SegMaking, algorithm_item, valid_line
from monai_semgan.io.dicom.seg_references import image_item, series_items
from monai_semgan.io.dicom.seg_writing import check_reference
from monai_semgan.io.volume import Volume
from monai_semgan.organs import RESEARCH_ONLY, Organ, Segments, find_organ

DIGITS = 4
"""Of contour points, in mm: a hundredth of `contours.INSET` of a pixel of 1 mm."""

COPIED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "OtherPatientIDsSequence", "StudyDate", "StudyTime", "StudyDescription", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip

DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"

LONG = ("ROIContourSequence", "ReferencedFrameOfReferenceSequence")
"""Sequences that hold neither text nor codes."""

CONTOUR_DATA = Tag("ContourData")


def check_rtstruct(volume: Volume, path: Path) -> None:
    """Make sure that contours of a volume can be written, before anything is computed.

    Raises:
        SemganError: the volume is not a series of single DICOM slices, or lacks what contours refer to.
    """
    source = check_reference(volume, path)
    if len(source.files) != len(source.frames):
        raise SemganError("contours of multi-frame files cannot be written", remedy="use .seg.nrrd or .dcm", path=path)


def write_rtstruct(
    array: np.ndarray,
    like: Volume,
    path: Path,
    segments: Segments,
    provenance: Provenance | None = None,
    uids: ResultUids | None = None,
) -> None:
    """Write contours of a label map (I, J, K), one region of interest per name that has voxels.

    Args:
        array: label ids.
        like: the scan, read from DICOM.
        path: where to.
        segments: names of the ids.
        provenance: how they were made; by the model alone when left out.
        uids: names of the object; new ones when left out.

    Raises:
        SemganError: see `check_rtstruct`.
    """
    check_rtstruct(like, path)
    assert like.source is not None
    header, array = result_header(like.source), like.source.on_slices(array)
    made = SegMaking(segments, provenance or Provenance(), uids)
    valid = header.valid_uids and has_valid_uids(made.provenance)
    checks = nullcontext() if valid else pydicom.config.disable_value_validation()
    with quiet(), checks:
        dataset = _structure_set(header, made)
        present = [(index, name) for index, name in segments.names.items() if (array == index).any()]
        for number, (index, name) in enumerate(present, start=1):
            label = valid_line(name, f"label {index}")
            contours = list(_contours(array == index, like.source.frames, header.references))
            _add_region(dataset, number, label, find_organ(name, index), contours)
        if provenance is not None:
            _tell_provenance(dataset, header, made)
        declare_coding_schemes(dataset, header.common, LONG)
        declare_character_set(dataset, LONG)
        dataset.save_as(path, enforce_file_format=True)


def _structure_set(header: ResultHeader, made: SegMaking) -> Dataset:
    dataset, now = Dataset(), datetime.now()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # contours may be longer than explicit types allow
    dataset.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = made.uids.sop_instance_uid if made.uids else generate_uid()
    for keyword in COPIED:
        if keyword in header.common:
            dataset[keyword] = header.common[keyword]
    dataset.StudyInstanceUID = header.study
    dataset.SeriesInstanceUID = made.uids.series_uid if made.uids else generate_uid()
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = made.provenance.series_description("Contours")
    dataset.Modality, dataset.OperatorsName = "RTSTRUCT", made.provenance.person
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, made.model
    dataset.SoftwareVersions = made.version
    dataset.StructureSetLabel, dataset.StructureSetDescription = "SEMGAN", made.provenance.content_description
    for kind in ("InstanceCreation", "StructureSet"):
        setattr(dataset, f"{kind}Date", f"{now:%Y%m%d}")
        setattr(dataset, f"{kind}Time", f"{now:%H%M%S.%f}")
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.FrameOfReferenceUID = header.frame_of_reference
    dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(header)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    return dataset


def _tell_provenance(dataset: Dataset, header: ResultHeader, made: SegMaking) -> None:
    """Add how the regions of a structure set were made, and what it takes the place of."""
    provenance = made.provenance
    for region, observed in zip(dataset.StructureSetROISequence, dataset.RTROIObservationsSequence, strict=True):
        region.ROIGenerationAlgorithm = provenance.algorithm_type
        if provenance.by_model:
            region.ROIDerivationAlgorithmIdentificationSequence = [algorithm_item(made)]
        observed.ROIInterpreter = provenance.person
    add_references(dataset, provenance.replaces)
    if provenance.replaces:
        dataset.ReferencedSeriesSequence = series_items(header)
        add_to_hierarchy(dataset, provenance.replaces)


def _frame_of_reference(header: ResultHeader) -> Dataset:
    frame, study = Dataset(), Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = DETACHED_STUDY, header.study
    study.RTReferencedSeriesSequence = []
    for uid, references in header.by_series().items():
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ContourImageSequence = [image_item(reference) for reference in references]
        study.RTReferencedSeriesSequence.append(series)
    frame.FrameOfReferenceUID = header.frame_of_reference
    frame.RTReferencedStudySequence = [study]
    return frame


def _contours(mask: np.ndarray, frames: tuple[Frame, ...], references: tuple[Reference, ...]) -> Iterator[Dataset]:
    """Contours of a mask (I, J, K), slice by slice."""
    for index in np.flatnonzero(mask.any((0, 1))):
        for polygon in outlines(mask[:, :, index].T):
            contour = Dataset()
            contour.ContourImageSequence = [image_item(references[index])]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            values = [f"{value:.{DIGITS}f}" for value in _points(polygon, frames[index]).ravel()]
            contour.add(DataElement(CONTOUR_DATA, "DS", values, already_converted=True))
            yield contour


def _points(polygon: np.ndarray, frame: Frame) -> np.ndarray:
    """Points (N, 3) in LPS mm of rows and columns (N, 2)."""
    assert frame.position is not None and frame.orientation is not None and frame.spacing is not None
    return frame.position + polygon * frame.spacing @ frame.orientation[::-1]


def _add_region(dataset: Dataset, number: int, name: str, organ: Organ, contours: list[Dataset]) -> None:
    region, drawn, observed = Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName, region.ROIDescription = number, name, RESEARCH_ONLY
    region.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    region.ROIGenerationAlgorithm = "AUTOMATIC"
    drawn.ReferencedROINumber, drawn.ROIDisplayColor, drawn.ContourSequence = number, list(organ.colour), contours
    observed.ObservationNumber = observed.ReferencedROINumber = number
    observed.RTROIInterpretedType = observed.ROIInterpreter = ""
    observed.SegmentedPropertyCategoryCodeSequence = [code_item(organ.category)]
    kind = code_item(organ.kind)
    if organ.side is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(organ.side)]
    observed.RTROIIdentificationCodeSequence = [kind]
    dataset.StructureSetROISequence.append(region)
    dataset.ROIContourSequence.append(drawn)
    dataset.RTROIObservationsSequence.append(observed)
