"""What highdicom is told of the source of a segmentation, and references to it as they shall stand in the file.

highdicom takes all from the headers of the source and refuses many that it does not like. It gets plain stand-ins
instead, made from what was read; afterwards the references get what the stand-ins could not carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage
from pydicom.valuerep import format_number_as_ds

if TYPE_CHECKING:
    from monai_semgan.io.dicom.frames import Frame
    from monai_semgan.io.dicom.result_header import Reference, ResultHeader

FRAME_TAGS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SourceImageSequence")


def stand_ins(header: ResultHeader, frames: Sequence[Frame]) -> list[Dataset]:
    """Make images that lie where the frames lie: one per file, or one multi-frame image.

    Args:
        header: of the result.
        frames: of one multi-frame file in its order, or of one file each.
    """
    first = deepcopy(header.common)
    first.StudyInstanceUID, first.FrameOfReferenceUID = header.study, header.frame_of_reference
    first.SeriesInstanceUID = header.references[0].series
    first.Rows, first.Columns = frames[0].shape
    if len(header.references) == 1 and len(frames) > 1:
        return [_multi_frame(first, header, frames)]
    images = []
    for reference, frame in zip(header.references, frames, strict=True):
        image = Dataset()
        image.update(first)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, reference.instance
        image.ImagePositionPatient = _decimals(frame.position)
        image.update(_orientation(frames[0]))
        image.update(_measures(frames[0]))
        images.append(image)
    return images


def _multi_frame(image: Dataset, header: ResultHeader, frames: Sequence[Frame]) -> Dataset:
    image.SOPClassUID, image.SOPInstanceUID = EnhancedCTImageStorage, header.references[0].instance
    image.NumberOfFrames = len(frames)
    shared, groups = Dataset(), []
    shared.PlaneOrientationSequence = [_orientation(frames[0])]
    shared.PixelMeasuresSequence = [_measures(frames[0])]
    for frame in frames:
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = _decimals(frame.position)
        group.PlanePositionSequence = [position]
        groups.append(group)
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], groups
    return image


def _orientation(frame: Frame) -> Dataset:
    place = Dataset()
    assert frame.orientation is not None
    place.ImageOrientationPatient = _decimals(frame.orientation.ravel())
    return place


def _measures(frame: Frame) -> Dataset:
    measures = Dataset()
    measures.PixelSpacing = _decimals(frame.spacing)
    known = frame.thickness is not None and frame.thickness > 0
    measures.SliceThickness = _decimals([frame.thickness])[0] if known else None  # type: ignore[list-item]
    return measures


def _decimals(values: Iterable[float] | None) -> list[str]:
    assert values is not None
    return [format_number_as_ds(float(value)) for value in values]


def image_item(reference: Reference) -> Dataset:
    """An item that names an image."""
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = reference.kind, reference.instance
    return image


def series_items(header: ResultHeader) -> list[Dataset]:
    """Make the items that name the series of the source, with their images."""
    items = []
    for uid, references in header.by_series().items():
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedInstanceSequence = [image_item(reference) for reference in references]
        items.append(series)
    return items


def refer(dataset: Dataset, header: ResultHeader, frames: Sequence[Frame]) -> None:
    """Put classes, series and frame numbers of the true source into the references of a segmentation.

    Args:
        dataset: the segmentation, which is changed.
        header: what it was made with.
        frames: as in `stand_ins`.
    """
    dataset.ReferencedSeriesSequence = series_items(header)
    dataset.SourceImageSequence = [
        image for series in dataset.ReferencedSeriesSequence for image in series.ReferencedInstanceSequence
    ]
    kinds = {reference.instance: reference.kind for reference in header.references}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or []:
            for image in derivation.SourceImageSequence:
                image.ReferencedSOPClassUID = kinds[image.ReferencedSOPInstanceUID]
                if "ReferencedFrameNumber" in image:
                    image.ReferencedFrameNumber = frames[image.ReferencedFrameNumber - 1].index + 1
