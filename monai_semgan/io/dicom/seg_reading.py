"""Reads DICOM Segmentation objects (PS3.3 A.51) onto the grid of their image, segment by segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.character_sets import terms_of, text_of
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import Header, quiet, read_dataset, read_header
from monai_semgan.io.dicom.pixels import decoded
from monai_semgan.io.dicom.stack import frame_affine
from monai_semgan.io.named_segments import LabelCanvas, StoredSegment, match_segments
from monai_semgan.io.volume import Volume
from monai_semgan.organs import Code

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = [
    "Modality",
    "SegmentationType",
    "MaximumFractionalValue",
    "FrameOfReferenceUID",
    "SegmentSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]

AGAIN = "copy or export it again"


def read_dicom_seg(path: Path, like: Volume | None, names: Mapping[int, str]) -> Volume:
    """Read a label map by the names of its segments, or by their codes; probabilities count from one half on.

    Args:
        path: a DICOM segmentation.
        like: the image it belongs to, whose grid the labels get.
        names: organ name by label id.

    Raises:
        SemganError: it is broken or no segmentation, belongs to another image, or holds none of the organs.
    """
    if like is None:
        raise SemganError("a DICOM segmentation needs its image to be read", remedy="list both", path=path)
    file = DicomFile(path)
    header, dataset = read_header(file, results=True), read_dataset(file, tags=TAGS)
    if header is None or header.modality != "SEG":
        remedy = "give a DICOM segmentation, or the label in another format"
        raise SemganError("is DICOM, but no segmentation", remedy=remedy, path=path)
    try:
        with quiet():
            terms = terms_of(dataset, [""])
            segments = [_stored_segment(item, terms) for item in dataset.get("SegmentSequence") or []]
            numbers = _numbers(dataset, header)
            frame_of_reference = str(dataset.get("FrameOfReferenceUID") or "")
            threshold = _threshold(dataset)
    except Exception as error:  # damaged files make pydicom raise nearly anything
        raise SemganError("not a readable DICOM segmentation", remedy=AGAIN, path=path) from error
    found = match_segments(segments, names, path)
    _check_reference(frame_of_reference, like, path)
    canvas = LabelCanvas(like, path, names)
    for frame, number, mask in _masks(header, numbers, found, threshold):
        canvas.add(mask.T[..., None], frame_affine(frame), found[number])
    return canvas.volume()


def _stored_segment(item: Any, terms: list[str]) -> StoredSegment:
    def code(sequence: Any) -> Code | None:
        if not sequence:
            return None
        first = sequence[0]
        return Code(str(first.CodeValue), str(first.get("CodeMeaning", "")), str(first.CodingSchemeDesignator))

    kinds = item.get("SegmentedPropertyTypeCodeSequence")
    sides = kinds[0].get("SegmentedPropertyTypeModifierCodeSequence") if kinds else None
    name = text_of(item, "SegmentLabel", terms_of(item, terms))[0].strip("\0 ")
    return StoredSegment(int(item.SegmentNumber), name, code(kinds), code(sides))


def _numbers(dataset: Dataset, header: Header) -> list[int | None]:
    """Number of the segment by frame; None where the values of the pixels are the numbers (label map)."""
    if dataset.get("SegmentationType") == "LABELMAP":
        return [None] * len(header.frames)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [{}])[0]
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or [{}] * len(header.frames)
    name = "SegmentIdentificationSequence"
    return [int((group.get(name) or shared.get(name))[0].ReferencedSegmentNumber) for group in groups]


def _threshold(dataset: Dataset) -> float:
    fractional = dataset.get("SegmentationType") == "FRACTIONAL"
    return 0.5 * float(dataset.get("MaximumFractionalValue") or 255) if fractional else 0.5


def _masks(
    header: Header, numbers: list[int | None], found: Mapping[int, int], threshold: float
) -> Iterator[tuple[Frame, int, np.ndarray]]:
    """Frame, number of the segment and mask (rows, columns), for the segments that were asked for."""
    indices = [index for index, number in enumerate(numbers) if number is None or number in found]
    frames = header.frames
    for index, pixels in zip(indices, decoded(header.file, indices, frames[0].shape), strict=True):
        number = numbers[index]
        if number is not None:
            yield frames[index], number, pixels >= threshold
            continue
        for value in np.unique(pixels):
            if int(value) in found:
                yield frames[index], int(value), pixels == value


def _check_reference(uid: str, like: Volume, path: Path) -> None:
    """Patients lie in the same place: only this tells the segmentation of another one."""
    if like.source is None or not uid:
        return
    image = read_dataset(like.source.frames[0].file, tags=["FrameOfReferenceUID"])
    with quiet():
        wanted = str(image.get("FrameOfReferenceUID") or "")
    if wanted and wanted != uid:
        problem = "belongs to another scan: its frame of reference is not that of the image"
        raise SemganError(problem, remedy="check which label belongs to which image", path=path)
