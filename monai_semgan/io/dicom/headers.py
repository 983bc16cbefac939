"""Headers of DICOM files as plain values; nothing of the patient but geometry leaves this module."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.filereader import read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.deflated import check_deflated, is_deflated
from monai_semgan.io.dicom.dicom_files import MAGIC, UNMARKED, DicomFile
from monai_semgan.io.dicom.frames import Frame, frame_of, frames_of, several
from monai_semgan.io.dicom.unused_files import DAMAGED, EMPTY, FOREIGN, INDEX, NO_IMAGE, Reason, UnusedFile
from monai_semgan.io.limits import memory_error
from monai_semgan.utils.loggers import silenced

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
INSTANCE_NUMBER = 0x00200013


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
    with silenced("pydicom"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_dataset(file: DicomFile, *, pixels: bool = False, tags: list[str] | None = None) -> Dataset:
    """The data set of a file.

    Args:
        file: the file.
        pixels: with the pixel data.
        tags: only these.

    Raises:
        SemganError: the file is damaged.
    """
    return _read(file, pixels, tags)[0]


def _read(file: DicomFile, pixels: bool = False, tags: list[str] | None = None) -> tuple[Dataset, bool]:
    """The data set, and whether there is more of the file behind it: pixel data, where these are not read.

    pydicom takes a file that ends within its header for a shorter one.
    """
    try:
        with quiet(), file.open() as stream:
            check_deflated(stream, file)
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=not pixels, specific_tags=tags)  # type: ignore
            meta = getattr(dataset, "file_meta", {})
            deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian  # inflated as a whole
            return dataset, deflated or bool(stream.read(1))
    except SemganError:
        raise
    except MemoryError:
        raise memory_error(file.path) from None
    except Exception as error:  # damaged files make pydicom raise nearly anything
        raise _unreadable(file) from error


def _unreadable(file: DicomFile) -> SemganError:
    return SemganError("not a readable DICOM file", remedy="copy or export it again", path=file.path)


def examine_file(file: DicomFile) -> Header | UnusedFile:
    """The header of an image, or why a file is not used.

    A file of an image class that ends before its pixels is damaged: it may be the slice that is missing elsewhere.
    """
    try:
        start = file.start()
    except SemganError as error:
        hidden = file.path.name.startswith(".")
        return UnusedFile(file, FOREIGN if hidden else DAMAGED, error)
    marked = start[MAGIC] == b"DICM"
    if not start:
        return UnusedFile(file, EMPTY, SemganError("the file is empty", remedy="copy it again", path=file.path))
    if not marked and file.path.suffix.lower() not in UNMARKED:
        return UnusedFile(file, FOREIGN)
    try:
        dataset, more = _read(file, tags=TAGS)
    except SemganError as error:
        return UnusedFile(file, DAMAGED, error, *_identity(_beginning(file)), cut=True) if marked else _foreign(file)
    with quiet():
        return _examined(dataset, file, marked, more)


def _foreign(file: DicomFile) -> UnusedFile:
    return UnusedFile(file, FOREIGN, _unreadable(file))


def _beginning(file: DicomFile) -> Dataset:
    """What can be read of a damaged header up to the number of the image; nothing if even that cannot."""
    try:
        with quiet(), file.open() as stream:
            if is_deflated(stream):  # as a whole, and perhaps to more than fits into memory
                return pydicom.Dataset()
            return read_partial(stream, lambda tag, vr, length: tag > INSTANCE_NUMBER, force=True)
    except Exception:  # as above
        return pydicom.Dataset()


def _identity(dataset: Dataset) -> tuple[str, str, str]:
    """UID and number of the series, and modality; empty where they cannot be read."""
    uid, number, modality = (_text(dataset, name) for name in ("SeriesInstanceUID", "SeriesNumber", "Modality"))
    return uid, number, modality.upper()


def _examined(dataset: Dataset, file: DicomFile, marked: bool, more: bool) -> Header | UnusedFile:
    kind = _text(dataset, "SOPClassUID") or str(getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID") or "")
    uid, number, modality = _identity(dataset)

    def unused(reason: Reason, error: SemganError | None = None) -> UnusedFile:
        return UnusedFile(file, reason, error, uid, number, modality, cut=not more)

    if not kind:
        return unused(DAMAGED, _unreadable(file)) if marked else _foreign(file)
    if kind == MediaStorageDirectoryStorage:
        return unused(INDEX)
    try:
        header = _header(dataset, file, results=False)
    except SemganError as error:
        return unused(DAMAGED, error)
    except Exception:  # as above
        return unused(DAMAGED, _unreadable(file))
    cut_within_kind = not uid and not UID(kind).keyword
    if header is None and (modality in NO_IMAGES or not (cut_within_kind or "ImageStorage" in UID(kind).keyword)):
        return unused(NO_IMAGE)
    if header is None or (not more and modality not in NO_IMAGES):
        problem = "the file is cut off or damaged: an image without pixel data"
        return unused(DAMAGED, SemganError(problem, remedy="copy or export it again", path=file.path))
    return header


def _text(dataset: Dataset, name: str) -> str:
    try:
        value = dataset.get(name)
        return "" if value is None else str(value).strip()
    except Exception:  # as above
        return ""


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
            if "SOPClassUID" not in dataset:
                raise _unreadable(file)
            return _header(dataset, file, results)
    except SemganError:
        raise
    except Exception as error:
        raise _unreadable(file) from error


def _header(dataset: Dataset, file: DicomFile, results: bool) -> Header | None:
    if "SOPClassUID" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
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
        "" if dataset.get("SeriesNumber") is None else str(dataset.SeriesNumber).strip(),
        modality,
        "LOCALIZER" in kind,
        int(dataset.get("SamplesPerPixel") or 1) != 1 or not grey.startswith("MONOCHROME"),
        grey == "MONOCHROME1",
        frames_of(dataset, file, count, kind) if look else (frame_of(file, 0, [], dataset),),
    )
