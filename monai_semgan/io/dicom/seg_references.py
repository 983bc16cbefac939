"""What highdicom is told of the source of a segmentation, and references to it as they shall stand in the file.

highdicom takes all from the headers of the source and refuses many that it does not like. It gets plain stand-ins
instead, made from what was read; afterwards the references get what the stand-ins could not carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage
from pydicom.valuerep import format_number_as_ds

if TYPE_CHECKING:
    from monai_semgan.io.dicom.frames import Frame
    from monai_semgan.io.dicom.result_header import Reference, ResultHeader

OFF_PLANE = 0.01
"""Part of the distance of planes by which a slice may miss one; highdicom allows for as much."""

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
    images, measures = [], _measures(frames)
    for reference, frame in zip(header.references, frames, strict=True):
        image = Dataset()
        image.update(first)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, reference.instance
        image.ImagePositionPatient = _decimals(frame.position)
        image.update(_orientation(frames[0]))
        image.update(measures)
        images.append(image)
    return images


def _multi_frame(image: Dataset, header: ResultHeader, frames: Sequence[Frame]) -> Dataset:
    image.SOPClassUID, image.SOPInstanceUID = EnhancedCTImageStorage, header.references[0].instance
    image.NumberOfFrames = len(frames)
    shared, groups = Dataset(), []
    shared.PlaneOrientationSequence = [_orientation(frames[0])]
    shared.PixelMeasuresSequence = [_measures(frames)]
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


def _measures(frames: Sequence[Frame]) -> Dataset:
    """Spacing and thickness; where this is not known, slices are taken for as thick as they are apart.

    A segmentation without a thickness is not valid (PS3.3 C.7.6.16.2.1), and highdicom reads no volume of it.
    """
    measures, thickness = Dataset(), frames[0].thickness
    measures.PixelSpacing = _decimals(frames[0].spacing)
    if not thickness or thickness < 0:
        distances = np.diff(np.sort(_heights(frames)))
        thickness = float(distances.min(initial=np.inf, where=distances > 0))
    measures.SliceThickness = _decimals([thickness if np.isfinite(thickness) else 1.0])[0]
    return measures


def add_spacing(dataset: Dataset, frames: Sequence[Frame]) -> None:
    """Tell the distance of planes where every slice lies on one of evenly spaced planes, and some are missing.

    highdicom tells it where none is missing. Without it dcmqi (1.5.7) takes the thickness for the distance, and puts
    slices up to half of that beside their places, several onto one where it is the greater.

    Args:
        dataset: the segmentation, which is changed.
        frames: all that it was made with.
    """
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    distance = distance_of_planes(frames)
    if distance is not None and "SpacingBetweenSlices" not in measures:
        measures.SpacingBetweenSlices = _decimals([distance])[0]


def distance_of_planes(frames: Sequence[Frame]) -> float | None:
    """Measure the distance in mm of planes, one straight behind the other, on which all slices lie.

    Args:
        frames: two or more, with their places; in any order.

    Returns:
        None where there are no such planes: the slices are unevenly spaced, or tilted against their stack.
    """
    order = np.argsort(_heights(frames))
    positions = np.array([frames[index].position for index in order], dtype=float)
    heights = _heights(frames)[order]
    nearest = np.diff(heights).min(initial=np.inf)
    if not 0 < nearest < np.inf:
        return None
    places = np.rint((heights - heights[0]) / nearest)
    distance = float(heights[-1] - heights[0]) / places[-1]
    assert frames[0].orientation is not None
    step = distance * np.cross(*frames[0].orientation)
    straight = (positions[-1] - positions[0]) / places[-1]
    off = np.abs(positions - positions[0] - places[:, None] * straight).max()
    return distance if max(off, np.linalg.norm(straight - step)) <= OFF_PLANE * distance else None


def _heights(frames: Sequence[Frame]) -> np.ndarray:
    """(n,) mm of the slices along their normal."""
    orientation = frames[0].orientation
    assert orientation is not None
    return np.array([frame.position for frame in frames], dtype=float) @ np.cross(*orientation)


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
