"""DICOM radiographs (CR, DX, MG and the like) as single images, with the grey values that a viewer shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.frames import Frame, several
from monai_semgan.io.dicom.headers import Header, quiet, read_dataset
from monai_semgan.io.dicom.pixels import decoded, fits_int16
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.source import DicomSource
from monai_semgan.io.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = [
    "PixelSpacing",
    "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
    "PixelAspectRatio",
    "PatientOrientation",
    "PhotometricInterpretation",
    "BitsStored",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
]

DETECTOR = "The pixel size is that on the detector: organs in the patient are somewhat smaller."
MIRRORED = "The header says that the image is mirrored: its left side is the patient's left. Check the sides."


def read_radiograph(series: Series, path: Path, notes: list[str]) -> Volume:
    """Read a radiograph as (columns, rows, 1): int16 where that holds all values, else float32.

    Its values are those of the standard's grey-scale pipeline: modality look-up table or rescale, then the first
    display window or look-up table; MONOCHROME1, where large values are black, is turned round.

    It lies where ITK and 3D Slicer put it, columns to the patient's left and rows downwards: radiographs have no
    place in the patient.

    Raises:
        SemganError: the series holds several images, or colours, or damaged pixel data.
    """
    header = _only_image(series, path)
    frame = header.frames[0]
    dataset = read_dataset(frame.file, tags=TAGS)
    stored = next(decoded(frame.file, [frame.index], frame.shape))
    values = _presented(stored, dataset, frame)
    if header.inverted:
        values = values.max() + values.min() - values
    spacing, known, remarks = _spacing(dataset, frame)
    affine = np.diag([-spacing[1], -spacing[0], 1.0, 1.0])
    array = np.ascontiguousarray(values.T)[:, :, None]
    array = array.astype(np.int16 if fits_int16(array) else np.float32)
    if [str(word).upper()[:1] for word in several(dataset.get("PatientOrientation"))][:1] == ["R"]:
        remarks.append(MIRRORED)
    source = DicomSource((frame,))
    return Volume(array, affine, path, None, (*notes, *remarks), series.modality, source, known)


def _only_image(series: Series, path: Path) -> Header:
    count = sum(len(header.frames) for header in series.headers)
    if count > 1:
        names = " and ".join(header.file.path.name for header in series.headers[:2])
        problem = f"holds {count} radiographs, one is expected ({names}{' ...' if len(series.headers) > 2 else ''})"
        raise SemganError(problem, remedy="give the file of one", path=path)
    (header,) = series.headers
    if header.colour:
        raise SemganError(
            "holds colours where grey values are expected", remedy="export the original image", path=header.file.path
        )
    return header


def _presented(stored: np.ndarray, dataset: Dataset, frame: Frame) -> Any:
    """Values (rows, columns) after modality and display transformations; whole numbers where these leave them so."""
    with quiet():
        try:
            values = apply_modality_lut(stored, dataset)
        except Exception as error:
            problem = "the look-up table or rescale of the header cannot be used"
            raise SemganError(problem, remedy="export it again", path=frame.file.path) from error
        whole = np.rint(values)
        if np.array_equal(values, whole) and np.abs(whole).max(initial=0) < 2**31:
            values = whole.astype(np.int32)
        try:
            return np.asarray(apply_voi_lut(values, dataset))
        except Exception:  # a window of no width and the like: viewers ignore it as well
            return values


def _spacing(dataset: Dataset, frame: Frame) -> tuple[tuple[float, float], bool, list[str]]:
    """mm between rows and between columns, whether that is known, and notes."""

    def pair(name: str) -> tuple[float, float] | None:
        numbers = [float(value) for value in several(dataset.get(name))]
        possible = len(numbers) == 2 and np.isfinite(numbers).all() and min(numbers) > 0
        return (numbers[0], numbers[1]) if possible else None

    with quiet():
        try:
            magnification = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
            if (calibrated := pair("PixelSpacing")) is not None:
                return calibrated, True, []
            if (detector := pair("ImagerPixelSpacing")) is not None:
                enlarged = magnification if np.isfinite(magnification) and magnification >= 1 else 1.0
                smaller = (detector[0] / enlarged, detector[1] / enlarged)
                return smaller, True, [DETECTOR] if enlarged == 1 else []
            ratio = pair("PixelAspectRatio") or (1.0, 1.0)
        except (TypeError, ValueError) as error:
            problem = "the pixel spacing in the header is no number"
            raise SemganError(problem, remedy="export it again", path=frame.file.path) from error
    return (ratio[0] / ratio[1], 1.0), False, []
