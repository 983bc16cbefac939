"""Slices of DICOM files: what their headers tell of place and scale, for every kind of multi-frame file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import DicomFile

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: where its pixels are, where it lies, and how its values are scaled; None is what the file lacks.

    Args:
        file: the file.
        index: which frame of the file, from 0.
        uid: SOP instance of the file.
        shape: rows and columns.
        position: (3,) LPS mm of the centre of the first pixel.
        orientation: (2, 3) directions of increasing column and of increasing row, LPS.
        spacing: mm between rows, and between columns.
        thickness: mm.
        scale: rescale slope and intercept.
    """

    file: DicomFile
    index: int
    uid: str
    shape: tuple[int, int]
    position: np.ndarray | None = None
    orientation: np.ndarray | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    scale: tuple[float, float] | None = None


def frames_of(dataset: Dataset, file: DicomFile, count: int, kind: list[str]) -> tuple[Frame, ...]:
    """The slices of a file, whatever kind of multi-frame file it is.

    Args:
        dataset: its header.
        file: the file.
        count: of frames, as the header says.
        kind: words of the image type.

    Raises:
        SemganError: the header contradicts itself.
    """
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return _multi_frames(dataset, file, count)
    if dataset.get("DetectorInformationSequence") and "RECON" in " ".join(kind):
        return _nuclear_frames(dataset, file, count)
    first = frame_of(file, 0, [dataset], dataset)
    return (first, *(replace(first, index=index) for index in range(1, count)))


def _nuclear_frames(dataset: Dataset, file: DicomFile, count: int) -> tuple[Frame, ...]:
    """Slices of nuclear medicine: the place of the first, and a distance along the normal."""
    first = frame_of(file, 0, [dataset, dataset.DetectorInformationSequence[0]], dataset)
    step = _numbers(dataset.get("SpacingBetweenSlices"), 1, file)
    if first.position is None or first.orientation is None or step is None:
        return tuple(replace(first, index=index, position=None) for index in range(count))
    along = step[0] * np.cross(*first.orientation)
    return tuple(replace(first, index=index, position=first.position + index * along) for index in range(count))


def _multi_frames(dataset: Dataset, file: DicomFile, count: int) -> tuple[Frame, ...]:
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    if len(groups) != count:
        problem = f"the header describes {len(groups)} frames, {count} are said to be there"
        raise SemganError(problem, remedy="export it again", path=file.path)
    names = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    )
    frames = []
    for index, group in enumerate(groups):
        parts = [item[name][0] for name in names for item in (group, *shared) if item.get(name)]
        frames.append(frame_of(file, index, parts, dataset))
    return tuple(frames)


def frame_of(file: DicomFile, index: int, parts: list[Any], dataset: Dataset) -> Frame:
    """A slice, by the first of several parts of the header that tells a value.

    Raises:
        SemganError: a value is no number.
    """

    def numbers(name: str, count: int) -> list[float] | None:
        return _numbers(next((part.get(name) for part in parts if part.get(name) is not None), None), count, file)

    position = numbers("ImagePositionPatient", 3)
    orientation = numbers("ImageOrientationPatient", 6)
    spacing = numbers("PixelSpacing", 2)
    thickness = numbers("SliceThickness", 1)
    slope, intercept = numbers("RescaleSlope", 1), numbers("RescaleIntercept", 1)
    return Frame(
        file,
        index,
        str(dataset.get("SOPInstanceUID") or ""),
        (int(dataset.Rows), int(dataset.Columns)),
        None if position is None else np.array(position),
        None if orientation is None else np.array(orientation).reshape(2, 3),
        None if spacing is None else (spacing[0], spacing[1]),
        None if thickness is None else thickness[0],
        (slope[0], intercept[0] if intercept else 0.0) if slope else None,
    )


def several(value: Any) -> list[Any]:
    """A value of any multiplicity as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def _numbers(value: Any, count: int, file: DicomFile) -> list[float] | None:
    values = [float(v) for v in several(value)]
    if not values:
        return None
    if len(values) != count or not np.isfinite(values).all():
        raise SemganError(
            "position, spacing or scaling in the header are no numbers", remedy="export it again", path=file.path
        )
    return values
