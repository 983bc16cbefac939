"""Headers of DICOM files as plain values; nothing of the patient but geometry leaves this module."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.data.dicom.deflated import check_deflated
from monai_semgan.data.dicom.files import DicomFile
from monai_semgan.data.limits import memory_error
from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "SpacingBetweenSlices",
    "DetectorInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]

NO_IMAGES = ("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "REG", "RWV", "PR", "KO", "SR", "DOC", "AU", "ECG")
"""Modalities of what has pixels, or may have, but is no scan: results, doses, documents."""

MAX_FRAMES = 100_000


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


@dataclass(frozen=True, eq=False)
class Header:
    """What a file says about itself and its frames.

    Args:
        file: the file.
        series: UID of the series.
        number: of the series, as text; empty when there is none.
        modality: such as ``CT``.
        localiser: whether it is an overview image for planning.
        colour: whether its pixels are not plain grey values.
        inverted: whether its largest values are black (MONOCHROME1).
        frames: its slices.
    """

    file: DicomFile
    series: str
    number: str
    modality: str
    localiser: bool
    colour: bool
    inverted: bool
    frames: tuple[Frame, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom's warnings and log lines repeat values of the file, which may name the patient."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def read_dataset(file: DicomFile, *, pixels: bool = False, tags: list[str] | None = None) -> Dataset:
    """The data set of a file.

    Args:
        file: the file.
        pixels: with the pixel data.
        tags: only these.

    Raises:
        SemganError: the file is damaged.
    """
    import pydicom

    try:
        with quiet(), file.open() as stream:
            check_deflated(stream, file)
            return pydicom.dcmread(stream, force=True, stop_before_pixels=not pixels, specific_tags=tags)  # type: ignore
    except SemganError:
        raise
    except MemoryError:
        raise memory_error(file.path) from None
    except Exception as error:  # damaged files make pydicom raise nearly anything
        raise SemganError("not a readable DICOM file", remedy="copy or export it again", path=file.path) from error


def read_header(file: DicomFile, results: bool = False) -> Header | None:
    """The header of an image; None for DICOM files of other kinds, such as reports.

    Args:
        file: the file.
        results: also look into the frames of what is no scan, such as segmentations, which may be very many; without,
            it has one frame that tells nothing.

    Raises:
        SemganError: the file is damaged.
    """
    dataset = read_dataset(file, tags=TAGS)
    try:
        with quiet():
            return _header(dataset, file, results)
    except SemganError:
        raise
    except Exception as error:
        raise SemganError("not a readable DICOM file", remedy="copy or export it again", path=file.path) from error


def _header(dataset: Dataset, file: DicomFile, results: bool) -> Header | None:
    if "SOPClassUID" not in dataset:
        if file.path.suffix.lower() in (".dcm", ".dicom"):
            raise SemganError("not a readable DICOM file", remedy="copy or export it again", path=file.path)
        return None
    if "Rows" not in dataset or "Columns" not in dataset:
        return None
    modality = str(dataset.get("Modality") or "").strip().upper()
    look = results or modality not in NO_IMAGES
    count = int(dataset.get("NumberOfFrames") or 1) if look else 1
    if not 0 < count <= MAX_FRAMES:
        raise SemganError(f"{count} frames are not possible", remedy="export it again", path=file.path)
    kind = [str(word).upper() for word in several(dataset.get("ImageType"))]
    grey = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    return Header(
        file,
        str(dataset.get("SeriesInstanceUID") or ""),
        str(dataset.get("SeriesNumber") or "").strip() if dataset.get("SeriesNumber") is not None else "",
        modality,
        "LOCALIZER" in kind,
        int(dataset.get("SamplesPerPixel") or 1) != 1 or not grey.startswith("MONOCHROME"),
        grey == "MONOCHROME1",
        _frames(dataset, file, count, kind) if look else (_frame(file, 0, [], dataset),),
    )


def _frames(dataset: Dataset, file: DicomFile, count: int, kind: list[str]) -> tuple[Frame, ...]:
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return _multi_frames(dataset, file, count)
    if dataset.get("DetectorInformationSequence") and "RECON" in " ".join(kind):
        return _nuclear_frames(dataset, file, count)
    return tuple(_frame(file, index, [dataset], dataset) for index in range(count))


def _nuclear_frames(dataset: Dataset, file: DicomFile, count: int) -> tuple[Frame, ...]:
    """Slices of nuclear medicine: the place of the first, and a distance along the normal."""
    first = _frame(file, 0, [dataset, dataset.DetectorInformationSequence[0]], dataset)
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
        frames.append(_frame(file, index, parts, dataset))
    return tuple(frames)


def _frame(file: DicomFile, index: int, parts: list[Any], dataset: Dataset) -> Frame:
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
