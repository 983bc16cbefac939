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

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import UNICODE, declare_character_set
from monai_semgan.io.dicom.coding_schemes import declare_coding_schemes
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.io.dicom.provenance import Provenance, ResultUids
from monai_semgan.io.dicom.provenance_tags import add_references, add_related_series, add_to_hierarchy, has_valid_uids
from monai_semgan.io.dicom.result_header import result_header
from monai_semgan.io.dicom.seg_making import MAKER, SegMaking, segment_description, series_number
from monai_semgan.io.dicom.seg_references import FRAME_TAGS, add_spacing, refer, stand_ins
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.volume import Volume
from monai_semgan.organs import Segments
from monai_semgan.utils.loggers import silenced

if TYPE_CHECKING:
    from pydicom import Dataset

    from monai_semgan.io.dicom.frames import Frame
    from monai_semgan.io.dicom.result_header import ResultHeader


def check_dicom_seg(volume: Volume, path: Path) -> DicomSource:
    """Make sure that a segmentation of a volume can be written, before anything is computed.

    An object is made of a single voxel, so that what highdicom refuses is refused here.

    Raises:
        SemganError: highdicom is missing, or the volume did not come from DICOM or lacks what refers to it.
    """
    check_highdicom(path)
    source = check_reference(volume, path)
    if len(source.files) > 1 and len(source.files) < len(source.frames):
        raise SemganError(
            "the scan lies in several multi-frame files", remedy="use .seg.nrrd or .nii.gz", path=source.files[0].path
        )
    _try_first_slices(source)
    return source


def check_highdicom(path: Path) -> None:
    """Make sure that the library is there that DICOM results are made with.

    Raises:
        SemganError: highdicom is missing.
    """
    try:
        import highdicom  # noqa: F401, PLC0415 - optional extra
    except ImportError:
        raise SemganError(
            "writing DICOM needs highdicom", remedy="run pip install 'monai-semgan[dicom]'", path=path
        ) from None


def _try_first_slices(source: DicomSource) -> None:
    """Make an object of one voxel: all slices are alike in what highdicom is told."""
    frames = list(source.frames[:2])
    planes = np.zeros((len(frames), *frames[0].shape), dtype=np.uint8)
    planes[0, 0, 0] = 1
    try:
        header = result_header(source)
        header = replace(header, references=header.references[: len(frames)])
        _save(header, frames, planes, [1], SegMaking(Segments({1: "check"}), Provenance(), None), io.BytesIO())
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


def write_dicom_seg(
    array: np.ndarray,
    like: Volume,
    path: Path,
    segments: Segments,
    provenance: Provenance | None = None,
    uids: ResultUids | None = None,
) -> None:
    """Write a label map (I, J, K) as a binary segmentation; empty planes are left out.

    Args:
        array: label ids.
        like: the scan, read from DICOM.
        path: where to.
        segments: names of the ids; ids without a name are dropped, names without voxels too.
        provenance: how it was made; by the model alone when left out.
        uids: its names; new ones when left out.

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
    made = SegMaking(segments, provenance or Provenance(), uids)
    _save(result_header(source), source.frames, planes, present, made, path)


def _save(
    header: ResultHeader,
    frames: Sequence[Frame],
    planes: np.ndarray,
    present: list[int],
    made: SegMaking,
    target: Path | io.BytesIO,
) -> None:
    """Write segments, numbered from 1, on slices (K, rows, columns)."""
    if len(header.references) == 1:  # as the frames are stored
        order = np.argsort([frame.index for frame in frames])
        frames, planes = [frames[index] for index in order], planes[order]
    valid = header.valid_uids and has_valid_uids(made.provenance)
    checks = nullcontext() if valid else pydicom.config.disable_value_validation()
    with quiet(), silenced("highdicom"), checks:
        dataset = _dataset(stand_ins(header, frames), planes, present, made)
        refer(dataset, header, frames)
        add_spacing(dataset, frames)
        _tell_provenance(dataset, made.provenance)
        declare_coding_schemes(dataset, header.common, FRAME_TAGS)
        declare_character_set(dataset, FRAME_TAGS)
        dataset.save_as(target)


def _tell_provenance(dataset: Dataset, provenance: Provenance) -> None:
    """Add who answers for a segmentation, and what it takes the place of."""
    dataset.ContentCreatorName = provenance.person  # has to be there, if empty (PS3.3 table 10-12)
    if provenance.person:
        dataset.OperatorsName = provenance.person
    add_related_series(dataset, provenance.replaces)
    add_references(dataset, provenance.replaces)
    add_to_hierarchy(dataset, provenance.replaces)


def _dataset(images: list[Dataset], planes: np.ndarray, present: list[int], made: SegMaking) -> Any:
    import highdicom  # noqa: PLC0415 - optional extra

    provenance, uids = made.provenance, made.uids
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=planes,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            segment_description(number, index, made) for number, index in enumerate(present, start=1)
        ],
        series_instance_uid=uids.series_uid if uids else highdicom.UID(),
        series_number=series_number(images[0]),
        sop_instance_uid=uids.sop_instance_uid if uids else highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=made.model,
        software_versions=__version__,
        device_serial_number=made.version,
        content_label="SEGMENTATION",
        content_description=provenance.content_description,
        series_description=provenance.series_description("Segmentation"),
        omit_empty_frames=True,
        specific_character_set=UNICODE,
    )
