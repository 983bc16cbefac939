"""Headers of DICOM files as plain values; nothing of the patient but geometry leaves this module."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.deflated import check_deflated
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame, frame_of, frames_of, several
from monai_semgan.io.limits import memory_error

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
class Header:
    """What a file says about itself and its frames.

    Args:
        file: the file.
        series: UID of the series.
        number: of the series, as text; empty when there is none.
        modality: such as `CT`.
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
        frames_of(dataset, file, count, kind) if look else (frame_of(file, 0, [], dataset),),
    )
