"""Writes DICOM Segmentation objects (PS3.3 A.51) that refer to the series they were made from, with highdicom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.sr.codedict import codes

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.headers import quiet, read_dataset
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.volume import Volume
from monai_semgan.organs import RESEARCH_ONLY, Code, Segments, find_organ

if TYPE_CHECKING:
    from pydicom import Dataset

MAKER = "monai_semgan"

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


def check_dicom_seg(volume: Volume, path: Path) -> DicomSource:
    """Make sure that a segmentation of a volume can be written, before anything is computed.

    Raises:
        SemganError: highdicom is missing, or the volume did not come from DICOM or lacks what refers to it.
    """
    try:
        import highdicom  # noqa: F401, PLC0415 - optional extra
    except ImportError:
        raise SemganError(
            "writing DICOM needs highdicom", remedy="run pip install 'monai-semgan[dicom]'", path=path
        ) from None
    source = check_reference(volume, path)
    if len(source.files) > 1 and len(source.files) < len(source.frames):
        raise SemganError(
            "the scan lies in several multi-frame files", remedy="use .seg.nrrd or .nii.gz", path=source.files[0].path
        )
    return source


def check_reference(volume: Volume, path: Path) -> DicomSource:
    """What a DICOM result refers to.

    Raises:
        SemganError: the volume did not come from DICOM, or lacks the names that are referred to.
    """
    source = volume.source
    if source is None:
        raise SemganError(
            "a DICOM segmentation refers to a DICOM scan, and the input is none",
            remedy="use .seg.nrrd or .nii.gz, or give the DICOM series as input",
            path=path,
        )
    first = read_dataset(source.frames[0].file)
    for name in ("FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not first.get(name):
            raise SemganError(
                f"the scan has no {name}, which a DICOM segmentation refers to",
                remedy="use .seg.nrrd or .nii.gz",
                path=source.frames[0].file.path,
            )
    if source.frames[0].position is None:
        raise SemganError(
            "a radiograph has no place in the patient, and DICOM results need one",
            remedy="use .png or .nii.gz",
            path=path,
        )
    return source


def write_dicom_seg(array: np.ndarray, like: Volume, path: Path, segments: Segments) -> None:
    """Write a label map (I, J, K) as a binary segmentation; empty planes are left out.

    Args:
        array: label ids.
        like: the scan, read from DICOM.
        path: where to.
        segments: names of the ids; ids without a name are dropped, names without voxels too.

    Raises:
        SemganError: see `check_dicom_seg`; or there is no voxel to write.
    """
    source = check_dicom_seg(like, path)
    present = [index for index in segments.names if (array == index).any()]
    if not present:
        raise SemganError(
            "no organ was found, and a DICOM segmentation cannot be empty",
            remedy="use .nii.gz or .seg.nrrd",
            path=path,
        )
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    planes = np.ascontiguousarray(numbers[array.astype(np.uint8)].transpose(2, 1, 0))
    images = [_header(file, like) for file in source.files]
    if len(images) == 1:  # highdicom wants the planes as the frames are stored
        planes = planes[np.argsort([frame.index for frame in source.frames])]
    with quiet():
        _dataset(images, planes, present, segments).save_as(path)


def _header(file: Any, like: Volume) -> Dataset:
    dataset = read_dataset(file)
    for name in EMPTY_TAGS:
        if name not in dataset:
            setattr(dataset, name, "")
    dataset.Modality = dataset.get("Modality") or like.modality
    return dataset


def _dataset(images: list[Dataset], planes: np.ndarray, present: list[int], segments: Segments) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=segments.model[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=segments.version or __version__,
        source=MAKER,
    )
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=planes,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, index, segments.names[index], algorithm)
            for number, index in enumerate(present, start=1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=_series_number(images[0]),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=segments.model[:64],
        software_versions=__version__,
        device_serial_number=segments.version or __version__,
        content_label="SEGMENTATION",
        content_description=RESEARCH_ONLY,
        series_description=f"Segmentation, {RESEARCH_ONLY.lower()}",
        omit_empty_frames=True,
    )


def _series_number(image: Dataset) -> int:
    """Derived series are usually counted from a hundred times the number of their source."""
    number = int(image.get("SeriesNumber") or 0)
    return 100 * number + 1 if 0 < number < 10_000_000 else 1001


def _description(number: int, index: int, name: str, algorithm: Any) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    organ = find_organ(name, index)
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=_concept(organ.category),
        segmented_property_type=_concept(organ.kind),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=highdicom.UID(),
        tracking_id=name[:64],
        display_color=highdicom.color.CIELabColor.from_rgb(*organ.colour),
    )
    if organ.side is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(organ.side)]
    return description


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept  # noqa: PLC0415 - optional extra

    return CodedConcept(code.value, code.scheme, code.meaning)
