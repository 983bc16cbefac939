"""Pixel data of slices, decoded and rescaled straight into one array."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK
from pydicom import Dataset as Plain
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.codestream import declared_size
from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.headers import quiet, read_dataset
from monai_semgan.io.dicom.pixel_padding import PixelPadding, padding_range
from monai_semgan.io.itk import quiet_itk
from monai_semgan.io.limits import check_voxels, memory_error

if TYPE_CHECKING:
    from pydicom import Dataset

INT16 = np.iinfo(np.int16)

PIXEL_TAGS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "PixelData",
)


def read_pixels(frames: Sequence[Frame], air: float | None = None) -> tuple[np.ndarray, list[str]]:
    """Values of slices after slope and intercept of each, padding replaced.

    Args:
        frames: slices of one size, in order.
        air: value of air, where the modality has one.

    Returns:
        (columns, rows, slices); int16 where that holds all values, float32 otherwise. Notes.

    Raises:
        SemganError: pixel data are missing, damaged or cannot be decoded.
    """
    padding, seen = PixelPadding(air), 0
    try:
        array = np.empty((len(frames), *frames[0].shape), dtype=np.int16)
        for file, places in _by_file(frames).items():
            dataset = _pixel_dataset(file, frames[0].shape)
            named = "PixelPaddingValue" in dataset
            stored = _decoded(dataset, file, [frames[p].index for p in places], frames[0].shape)
            for place, pixels in zip(places, stored, strict=True):
                values = _rescaled(pixels, frames[place])
                if named and (limits := padding_range(dataset, pixels.dtype)) is not None:
                    named = not padding.harmless(_rescaled(limits, frames[place]))
                    if named:
                        padding.look(values, (pixels >= limits[0]) & (pixels <= limits[1]))
                        seen += 1
                if array.dtype == np.int16 and not fits_int16(values):
                    array = array.astype(np.float32)
                array[place] = values
        # slices that name none may have the value as tissue: then none of them is known to be padding
        array, notes = padding.replace(array) if seen == len(frames) else (array, [])
    except MemoryError:
        raise memory_error(frames[0].file.path.parent) from None
    return array.transpose(2, 1, 0), notes


def _by_file(frames: Sequence[Frame]) -> dict[DicomFile, list[int]]:
    """Place in the stack by file, those of a file in the order of its frames."""
    files: dict[DicomFile, list[int]] = {}
    for place, frame in enumerate(frames):
        files.setdefault(frame.file, []).append(place)
    return {file: sorted(places, key=lambda place: frames[place].index) for file, places in files.items()}


def decoded(file: DicomFile, indices: list[int], shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Stored values (rows, columns) of frames of a file."""
    yield from _decoded(_pixel_dataset(file, shape), file, indices, shape)


def _pixel_dataset(file: DicomFile, shape: tuple[int, int]) -> Dataset:
    check_voxels(shape, file.path, picture=True)
    dataset = read_dataset(file, pixels=True)
    if "PixelData" not in dataset:
        problem = "the file holds no pixel data, or is cut off"
        raise SemganError(problem, remedy="copy or export it again", path=file.path)
    return dataset


def _decoded(dataset: Dataset, file: DicomFile, indices: list[int], shape: tuple[int, int]) -> Iterator[np.ndarray]:
    try:
        with quiet():
            frames = _iterate(dataset, indices)
            for _ in indices:
                pixels = next(frames)
                if pixels.shape != shape:
                    raise ValueError(f"decoded shape {pixels.shape}")
                yield pixels
    except (SemganError, MemoryError, GeneratorExit):
        raise
    except Exception as error:  # every decoder has its own kinds
        raise SemganError(
            "the pixel data are damaged or cannot be decoded", remedy="copy or export it again", path=file.path
        ) from error


def _iterate(dataset: Dataset, indices: list[int]) -> Iterator[np.ndarray]:
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:  # files without a header: the standard's default
        dataset.file_meta.TransferSyntaxUID = syntax = ImplicitVRLittleEndian
    if syntax.is_encapsulated:
        _check_codestreams(dataset, indices)
    if syntax.is_encapsulated and not _known_to_pydicom(syntax):
        return iter(_decoded_by_itk(dataset)[indices])
    if dataset.BitsAllocated == 1 and not syntax.is_encapsulated:
        return _bit_frames(dataset, indices)
    # pylibjpeg-rle panics on damaged data, which is no exception; pydicom's own decoder is always there
    plugin = "pydicom" if syntax == RLELossless else ""
    return iter_pixels(dataset, indices=indices, raw=True, decoding_plugin=plugin)


def _known_to_pydicom(syntax: Any) -> bool:
    """Whether pydicom has what decodes a transfer syntax."""
    if syntax == JPEGExtended12Bit:  # pydicom offers Pillow, which knows 8 bits only
        return False
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:  # retired ones
        return False


def _bit_frames(dataset: Dataset, indices: list[int]) -> Iterator[np.ndarray]:
    """Frames of one bit per pixel; they follow each other without padding, so a frame may begin within a byte."""
    pixels = dataset.Rows * dataset.Columns
    stored = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    for index in indices:
        first, last = index * pixels, (index + 1) * pixels
        bits = np.unpackbits(stored[first // 8 : -(-last // 8)], bitorder="little")
        yield bits[first % 8 :][:pixels].reshape(dataset.Rows, dataset.Columns)


def _check_codestreams(dataset: Dataset, indices: list[int]) -> None:
    """Raise ValueError if a frame declares another size than the header."""
    count = int(dataset.get("NumberOfFrames") or 1)
    for index, stream in enumerate(generate_frames(dataset.PixelData, number_of_frames=count)):
        size = declared_size(stream) if index in indices else None
        if size is not None and size != (dataset.Rows, dataset.Columns):
            raise ValueError(f"frame {index} declares {size[0]} x {size[1]} pixels")


def _decoded_by_itk(dataset: Dataset) -> np.ndarray:
    """All frames (n, rows, columns), by the GDCM in SimpleITK; for want of a plug-in of pydicom."""
    plain = Plain()
    for tag in PIXEL_TAGS:
        if tag in dataset:
            plain[tag] = dataset[tag]
    plain.SOPClassUID, plain.SOPInstanceUID, plain.Modality = SecondaryCaptureImageStorage, generate_uid(), "OT"
    plain.file_meta = dataset.file_meta
    plain.file_meta.MediaStorageSOPClassUID = plain.SOPClassUID
    plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID
    with tempfile.TemporaryDirectory(prefix="semgan-") as folder:
        path = Path(folder) / "frames.dcm"
        plain.save_as(path, enforce_file_format=True)
        with quiet_itk():
            array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
    return array if array.ndim == 3 else array[None]


def _rescaled(pixels: np.ndarray, frame: Frame) -> np.ndarray:
    """int32 where slope and intercept are whole numbers, float32 otherwise."""
    slope, intercept = frame.scale or (1.0, 0.0)
    whole: Any = pixels.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer()
    if whole and max(abs(slope), abs(intercept)) < 2**14:
        return pixels.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def fits_int16(values: np.ndarray) -> bool:
    """Whether whole numbers are small enough for 16 bits."""
    return values.dtype.kind in "iu" and values.min() >= INT16.min and values.max() <= INT16.max
