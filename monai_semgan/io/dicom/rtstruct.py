"""Writes an RT Structure Set (contours for radiotherapy planning) with rt-utils.

rt-utils draws contours through the centres of the outermost pixels, so areas come out half a pixel smaller at every
edge in programs that take contours for edges; and it takes pixels for square.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.headers import quiet, read_dataset
from monai_semgan.io.dicom.seg_writing import MAKER, check_reference
from monai_semgan.io.volume import Volume
from monai_semgan.organs import RESEARCH_ONLY, Segments, find_organ

DIGITS = 3
"""Of contour points, in mm."""

EMPTY_TAGS = ("StudyDate", "StudyTime", "StudyID")


def check_rtstruct(volume: Volume, path: Path) -> None:
    """Make sure that contours of a volume can be written, before anything is computed.

    Raises:
        SemganError: rt-utils is missing, or the volume is not a series of single DICOM slices with square pixels.
    """
    try:
        import rt_utils  # noqa: F401, PLC0415 - optional extra
    except ImportError:
        raise SemganError(
            "writing contours needs rt-utils", remedy="run pip install 'monai-semgan[rtstruct]'", path=path
        ) from None
    source = check_reference(volume, path)
    remedy = "use .seg.nrrd or .dcm"
    if len(source.files) != len(source.frames):
        raise SemganError("contours of multi-frame files cannot be written", remedy=remedy, path=path)
    if abs(volume.spacing[0] / volume.spacing[1] - 1) > 1e-3:
        raise SemganError("contours on pixels that are not square cannot be written", remedy=remedy, path=path)


def write_rtstruct(array: np.ndarray, like: Volume, path: Path, segments: Segments) -> None:
    """Write contours of a label map (I, J, K), one region of interest per name that has voxels.

    Args:
        array: label ids.
        like: the scan, read from DICOM.
        path: where to.
        segments: names of the ids.

    Raises:
        SemganError: see `check_rtstruct`.
    """
    from rt_utils import RTStruct  # noqa: PLC0415 - optional extra
    from rt_utils.ds_helper import create_rtstruct_dataset  # noqa: PLC0415 - optional extra

    check_rtstruct(like, path)
    assert like.source is not None
    with quiet():
        images = [read_dataset(file) for file in like.source.files]
        for name in EMPTY_TAGS:
            if name not in images[0]:
                setattr(images[0], name, "")
        contours = RTStruct(images, create_rtstruct_dataset(images))
        for index, name in segments.names.items():
            mask = array.transpose(1, 0, 2) == index
            if mask.any():
                colour = list(find_organ(name, index).colour)
                contours.add_roi(mask, colour, name, RESEARCH_ONLY, roi_generation_algorithm="AUTOMATIC")
        contours.ds.FrameOfReferenceUID = images[0].FrameOfReferenceUID
        contours.ds.PositionReferenceIndicator = images[0].get("PositionReferenceIndicator", "")
        _describe(contours.ds, segments)
        contours.ds.save_as(path)


def _describe(dataset: Any, segments: Segments) -> None:
    """What rt-utils says of itself, and numbers longer than DICOM allows."""
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, segments.model[:64]
    dataset.SoftwareVersions = segments.version
    del dataset.InstitutionName
    dataset.StructureSetLabel = "SEMGAN"
    dataset.StructureSetDescription = RESEARCH_ONLY
    dataset.SeriesDescription = f"Contours, {RESEARCH_ONLY.lower()}"
    dataset.ReferringPhysicianName = dataset.AccessionNumber = dataset.OperatorsName = ""
    for region in dataset.ROIContourSequence:
        for contour in region.ContourSequence:
            contour.ContourData = [f"{value:.{DIGITS}f}" for value in contour.ContourData]
            contour.NumberOfContourPoints = len(contour.ContourData) // 3
    for observation in dataset.RTROIObservationsSequence:
        del observation.ROIObservationDescription
