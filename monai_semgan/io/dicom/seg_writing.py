"""Writes DICOM Segmentation objects (PS3.3 A.51) that refer to the series they were made from, with highdicom."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.sr.codedict import codes

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import UNICODE, declare_character_set
from monai_semgan.io.dicom.coding_schemes import declare_coding_schemes
from monai_semgan.io.dicom.header_values import mend
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.io.dicom.result_header import result_header
from monai_semgan.io.dicom.seg_references import FRAME_TAGS, refer, stand_ins
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.volume import Volume
from monai_semgan.organs import RESEARCH_ONLY, Code, Segments, find_organ
from monai_semgan.utils.loggers import silenced

if TYPE_CHECKING:
    from pydicom import Dataset

    from monai_semgan.io.dicom.frames import Frame
    from monai_semgan.io.dicom.result_header import ResultHeader

MAKER = "monai_semgan"


def check_dicom_seg(volume: Volume, path: Path) -> DicomSource:
    """Make sure that a segmentation of a volume can be written, before anything is computed.

    An object is made of a single voxel, so that what highdicom refuses is refused here.

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
    _try_first_slices(source)
    return source


def _try_first_slices(source: DicomSource) -> None:
    """Make an object of one voxel: all slices are alike in what highdicom is told."""
    frames = list(source.frames[:2])
    planes = np.zeros((len(frames), *frames[0].shape), dtype=np.uint8)
    planes[0, 0, 0] = 1
    try:
        header = result_header(source)
        header = replace(header, references=header.references[: len(frames)])
        _save(header, frames, planes, [1], Segments({1: "check"}), io.BytesIO())
    except SemganError:
        raise
    except Exception as error:  # nobody knows all that highdicom refuses
        raise SemganError(
            f"highdicom cannot make a DICOM segmentation of this scan ({type(error).__name__})",
            remedy="use .seg.nrrd or .nii.gz",
            path=source.files[0].path,
        ) from error


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
    result_header(source)
    if any(frame.position is None or frame.orientation is None or frame.spacing is None for frame in source.frames):
        raise SemganError(
            "a radiograph has no place in the patient, and DICOM results need one",
            remedy="use .png or .nii.gz",
            path=path,
        )
    columns, rows, slices = volume.array.shape
    if (rows, columns) != source.frames[0].shape or slices != source.depth:
        raise SemganError(
            "the volume lies on other slices than its DICOM files, which a DICOM result refers to",
            remedy="use .seg.nrrd or .nii.gz",
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
    source = check_reference(like, path)
    array = source.on_slices(array)
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
    _save(result_header(source), source.frames, planes, present, segments, path)


def _save(
    header: ResultHeader,
    frames: Sequence[Frame],
    planes: np.ndarray,
    present: list[int],
    segments: Segments,
    target: Path | io.BytesIO,
) -> None:
    """Write segments, numbered from 1, on slices (K, rows, columns)."""
    if len(header.references) == 1:  # as the frames are stored
        order = np.argsort([frame.index for frame in frames])
        frames, planes = [frames[index] for index in order], planes[order]
    checks = nullcontext() if header.valid_uids else pydicom.config.disable_value_validation()
    with quiet(), silenced("highdicom"), checks:
        dataset = _dataset(stand_ins(header, frames), planes, present, segments)
        refer(dataset, header, frames)
        declare_coding_schemes(dataset, header.common, FRAME_TAGS)
        declare_character_set(dataset, FRAME_TAGS)
        dataset.save_as(target)


def _dataset(images: list[Dataset], planes: np.ndarray, present: list[int], segments: Segments) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    model, version = _line(segments.model, MAKER), _line(segments.version, __version__)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=model, family=codes.DCM.ArtificialIntelligence, version=version, source=MAKER
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
        manufacturer_model_name=model,
        software_versions=__version__,
        device_serial_number=version,
        content_label="SEGMENTATION",
        content_description=RESEARCH_ONLY,
        series_description=f"Segmentation, {RESEARCH_ONLY.lower()}",
        omit_empty_frames=True,
        specific_character_set=UNICODE,
    )


def _line(text: str, otherwise: str) -> str:
    """A value of ours, valid."""
    return mend("", "LO", text)[0] or otherwise


def _series_number(image: Dataset) -> int:
    """Derived series are usually counted from a hundred times the number of their source."""
    number = int(image.get("SeriesNumber") or 0)
    return 100 * number + 1 if 0 < number < 10_000_000 else 1001


def _description(number: int, index: int, name: str, algorithm: Any) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    organ = find_organ(name, index)
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=_line(name, f"label {index}"),
        segmented_property_category=_concept(organ.category),
        segmented_property_type=_concept(organ.kind),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=highdicom.UID(),
        tracking_id=_line(name, f"label {index}"),
        display_color=highdicom.color.CIELabColor.from_rgb(*organ.colour),
    )
    if organ.side is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(organ.side)]
    return description


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept  # noqa: PLC0415 - optional extra

    return CodedConcept(code.value, code.scheme, code.meaning)
