"""DICOM series in code: classic slices and enhanced multi-frame, with any geometry and any fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

PATIENT = "Secret^Name"


def lps(affine: np.ndarray) -> np.ndarray:
    """RAS mm to LPS mm, or back."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def text(values: Any) -> list[str]:
    """DICOM's decimal strings, of at most 16 characters."""
    words = []
    for value in np.atleast_1d(values):
        word = next(w for w in (f"{value:.{digits}g}" for digits in range(14, 1, -1)) if len(w) <= 16)
        words.append(word)
    return words


def base(modality: str = "CT", **tags: Any) -> Dataset:
    """What all images of a series share."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID = PATIENT, "secret-id"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "1.2.826.0.1.3680043.8.498.3", ""
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", 4, 1
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20200102"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "101010"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.Manufacturer = modality, "Phantom works"
    dataset.SOPClassUID = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}.get(
        modality, MRImageStorage
    )
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    if modality == "CT":
        dataset.KVP, dataset.RescaleType = "120", "HU"
    elif modality == "MR":
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength, dataset.RepetitionTime = "2D", "9", 1, "9"
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def pixels(dataset: Dataset, stored: np.ndarray) -> None:
    """Puts stored values (rows, columns) or (frames, rows, columns) into a data set, without compression."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()
    if bits == 8 and len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"


def save(dataset: Dataset, path: Path) -> Path:
    """Writes a data set as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID or "1.2.3.4")  # a file has to have one
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)
    return path


def datasets(
    array: np.ndarray,
    affine: np.ndarray,
    modality: str = "CT",
    scale: tuple[float, float] | Callable[[int], tuple[float, float]] = (1.0, -1024.0),
    **tags: Any,
) -> list[Dataset]:
    """One data set per slice (I, J) of an array (I, J, K) at ``affine`` (RAS mm); values are after rescale."""
    place = lps(affine)
    spacing = np.linalg.norm(place[:3, :3], axis=0)
    slices = []
    for k in range(array.shape[2]):
        dataset = base(modality, **tags)
        slope, intercept = scale(k) if callable(scale) else scale
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(), k + 1
        dataset.ImagePositionPatient = text(place[:3, 3] + k * place[:3, 2])
        dataset.ImageOrientationPatient = text([*(place[:3, 0] / spacing[0]), *(place[:3, 1] / spacing[1])])
        dataset.PixelSpacing, dataset.SliceThickness = text([spacing[1], spacing[0]]), text(spacing[2])[0]
        dataset.RescaleSlope, dataset.RescaleIntercept = text(slope)[0], text(intercept)[0]
        stored = np.rint((array[:, :, k].T - intercept) / slope)
        pixels(dataset, stored.astype(np.uint16 if stored.min() >= 0 else np.int16))
        slices.append(dataset)
    return slices


def write_series(folder: Path, slices: list[Dataset], shuffle: int | None = 0) -> Path:
    """Writes slices under names that tell nothing of their order."""
    order = np.arange(len(slices)) if shuffle is None else np.random.default_rng(shuffle).permutation(len(slices))
    for name, index in enumerate(order):
        save(slices[index], folder / f"IM{name:04d}")
    return folder


def enhanced(array: np.ndarray, affine: np.ndarray, order: np.ndarray | None = None, **tags: Any) -> Dataset:
    """An enhanced multi-frame CT of the same; frames stored in ``order``, the slope differs from frame to frame."""
    single = datasets(array, affine, scale=lambda k: (1.0 + k % 2, -1024.0))
    order = np.arange(len(single)) if order is None else order
    dataset = base(SOPClassUID=EnhancedCTImageStorage, SOPInstanceUID=generate_uid(), InstanceNumber=1, **tags)
    for name in ("RescaleType", "KVP"):
        delattr(dataset, name)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames = len(single)
    shared, dataset.PerFrameFunctionalGroupsSequence = Dataset(), []
    measures, direction = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = single[0].PixelSpacing, single[0].SliceThickness
    direction.ImageOrientationPatient = single[0].ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [direction]
    dataset.SharedFunctionalGroupsSequence = [shared]
    for number, index in enumerate(order):
        group, position, value, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = single[index].ImagePositionPatient
        value.RescaleSlope, value.RescaleIntercept = single[index].RescaleSlope, single[index].RescaleIntercept
        value.RescaleType = "HU"
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", number + 1, [1, number + 1]
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [value]
        group.FrameContentSequence = [content]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    stored = [np.frombuffer(single[i].PixelData, np.uint16).reshape(single[i].Rows, -1) for i in order]
    pixels(dataset, np.stack(stored))
    return dataset


def radiograph(stored: np.ndarray, modality: str = "DX", **tags: Any) -> Dataset:
    """A radiograph of stored values (rows, columns): no place in the patient, no frame of reference."""
    dataset = base(modality, SOPInstanceUID=generate_uid(), InstanceNumber=1)
    kinds = {"CR": ComputedRadiographyImageStorage}
    dataset.SOPClassUID = kinds.get(modality, DigitalXRayImageStorageForPresentation)
    del dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImagerPixelSpacing = ["0.2", "0.2"]
    pixels(dataset, stored)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def nuclear(array: np.ndarray, affine: np.ndarray, **tags: Any) -> Dataset:
    """A reconstructed scan of nuclear medicine: one file whose frames lie behind one another, array (I, J, K)."""
    first, *_ = datasets(array[..., :1], affine, "NM", scale=(1.0, 0.0))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    detector = Dataset()
    for name in ("ImagePositionPatient", "ImageOrientationPatient"):
        setattr(detector, name, first[name].value)
    dataset = base("NM", SOPInstanceUID=generate_uid(), InstanceNumber=1, SOPClassUID=NuclearMedicineImageStorage)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    dataset.DetectorInformationSequence = [detector]
    dataset.PixelSpacing, dataset.SliceThickness = first.PixelSpacing, first.SliceThickness
    normal = np.cross(*np.array(first.ImageOrientationPatient, float).reshape(2, 3))
    dataset.SpacingBetweenSlices = text(spacing[2] * np.sign(normal @ lps(affine)[:3, 2]))[0]
    dataset.NumberOfFrames = array.shape[2]
    pixels(dataset, np.rint(array.transpose(2, 1, 0)).astype(np.uint16))
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def several_volumes(
    arrays: dict[tuple[float, ...], np.ndarray], affine: np.ndarray, names: tuple[str, ...], **tags: Any
) -> list[Dataset]:
    """Slices of one MR series that holds several volumes: array (I, J, K) by the values of some tags.

    Args:
        arrays: the volumes.
        affine: of all.
        names: the tags that tell the volumes apart.
        tags: others.
    """
    slices = []
    for values, array in arrays.items():
        own = dict(zip(names, values, strict=True))
        slices += datasets(array, affine, "MR", (1.0, 0.0), **{**tags, **own})
    return slices


def enhanced_volumes(arrays: dict[float, np.ndarray], affine: np.ndarray, group: str, name: str) -> Dataset:
    """An enhanced MR whose frames are of several volumes, slice by slice: array by the value of a tag.

    Args:
        arrays: the volumes.
        affine: of all.
        group: functional group that holds the tag.
        name: the tag.
    """
    values = list(arrays)
    stacked = np.stack([arrays[value] for value in values], axis=-1)  # (I, J, K, V)
    single = [enhanced(stacked[..., v], affine) for v in range(len(values))]
    whole = enhanced(stacked[..., 0], affine, Modality="MR")
    whole.SOPClassUID = EnhancedMRImageStorage
    whole.PerFrameFunctionalGroupsSequence, frames = [], []
    for k in range(stacked.shape[2]):
        for value, part in zip(values, single, strict=True):
            item, frame = Dataset(), part.PerFrameFunctionalGroupsSequence[k]
            setattr(item, name, value)
            setattr(frame, group, [item])
            whole.PerFrameFunctionalGroupsSequence.append(frame)
            stored = np.frombuffer(part.PixelData, np.uint16).reshape(-1, part.Rows, part.Columns)
            frames.append(stored[k])
    whole.NumberOfFrames = len(frames)
    pixels(whole, np.stack(frames))
    return whole


def drawn(
    draw: Callable[[np.ndarray], np.ndarray],
    positions: np.ndarray,
    orientation: np.ndarray,
    shape: tuple[int, int],
    spacing: tuple[float, float] = (2.0, 3.0),
    **tags: Any,
) -> list[Dataset]:
    """CT slices, wherever they lie, of what is drawn in the patient.

    Args:
        draw: values (...) at points (..., 3) in RAS mm.
        positions: (n, 3) LPS mm of the first pixel of each slice.
        orientation: (2, 3) directions of increasing column and row.
        shape: rows and columns.
        spacing: mm between rows and between columns.
        tags: others.
    """
    rows, columns = np.indices(shape)[..., None]
    plane = columns * spacing[1] * orientation[0] + rows * spacing[0] * orientation[1]
    slices = []
    for number, position in enumerate(positions):
        dataset = base("CT", **tags)
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(), number + 1
        dataset.ImagePositionPatient = text(position)
        dataset.ImageOrientationPatient, dataset.PixelSpacing = text(orientation.ravel()), text(spacing)
        dataset.SliceThickness, dataset.RescaleSlope, dataset.RescaleIntercept = "3", "1", "-1024"
        values = draw((plane + position) * (-1, -1, 1))
        pixels(dataset, np.rint(values + 1024).astype(np.uint16))
        slices.append(dataset)
    return slices
