"""Modalities: their spellings, and which one a file or its values tell."""

from __future__ import annotations

import numpy as np

from monai_semgan.errors import SemganError

CT_WINDOW = (-125.0, 275.0)
"""Soft-tissue window in HU."""


MR_PERCENTILES = (0.5, 99.5)
"""Percentiles of the body's voxels that become -1 and 1."""

CT_EVIDENCE_HU = -50.0
"""Only CT reaches below this value: MR intensities are not negative, save for a few filter artefacts."""


PROJECTIONS = ("DX", "CR", "RG", "MG", "PX", "IO", "XA", "RF")
"""DICOM's names of the modalities that make single images by projection, not slices."""


PHOTOGRAPH = "XC"
"""DICOM's name of photographs in visible light, such as of skin through a dermatoscope."""

SINGLE_IMAGES = (*PROJECTIONS, PHOTOGRAPH)
"""Modalities of images that are no slices of a body."""

MODALITIES = ("CT", "MR", "DX", PHOTOGRAPH)
"""What models are made for."""

SPELLINGS = {
    "CT": "CT",
    **dict.fromkeys(("MR", "MRI"), "MR"),
    **dict.fromkeys(("DX", "CR", "RG", "PX", "XR", "XRAY", "X-RAY", "RADIOGRAPH"), "DX"),
    **dict.fromkeys((PHOTOGRAPH, "DMS", "PHOTO"), PHOTOGRAPH),
}
"""What people and files call a modality, in capitals; DICOM's `CR`, `RG` and `PX` are radiographs as `DX` is."""


def canonical_modality(name: str) -> str:
    """Return `CT`, `MR`, `DX` (radiographs) or `XC` (colour photographs) for the usual spellings of a modality.

    Args:
        name: for example `ct`, `MRI`, `cr`, `XR`.

    Raises:
        SemganError: the modality is none of these.
    """
    try:
        return SPELLINGS[str(name).strip().upper()]
    except KeyError:
        remedy = "use CT, MR, DX or XR (radiographs), or XC (colour photographs)"
        raise SemganError(f"unknown modality '{name}'", remedy=remedy) from None


def header_modality(name: str) -> str:
    """The modality that a file tells: as `canonical_modality` where it is known, else DICOM's own code."""
    return SPELLINGS.get(name.strip().upper(), name.strip().upper())


FILL_SHARE = 0.05
"""A constant below `CT_EVIDENCE_HU` that takes this part of the voxels may be a fill and tells no modality."""

FAT_SHARE = 0.12
"""More of the other voxels are that low in CT (fat, lung); resampling a fill leaves fewer between it and the rest."""

FEW_VALUES = 16
"""Phantoms made in code have no more different values, and air of one value that is no fill."""

HU_OFFSET = 1024.0
"""What unsigned CT without an intercept has been raised by."""

SOFT_TISSUE_HU = (-150.0, 300.0)
"""At least `TISSUE_SHARE` of a body in CT that is not air or lung lies here."""

TISSUE_SHARE = 0.8

SAMPLES = 1_000_000

FEW_SAMPLES = 20_000


def value_sample(array: np.ndarray, count: int = SAMPLES) -> np.ndarray:
    """Evenly spread voxels of an array of any shape, `count` to twice as many where there are more."""
    flat = array.ravel(order="K")  # as it is stored: other orders take a copy
    return flat[:: max(1, flat.size // count)]


def guess_modality(array: np.ndarray) -> str:
    """Guess `CT` or `MR` from the values alone: values that reach below about -50 mean CT.

    One voxel in a thousand has to be that low, so a few resampling undershoots in an MR do not count; nor does a
    constant that fills the outside of an MR.

    Args:
        array: voxel values of any shape.
    """
    sample = value_sample(array)
    return "CT" if has_low_values(sample) and not _only_a_fill_is_low(sample[:: SAMPLES // FEW_SAMPLES]) else "MR"


def has_low_values(sample: np.ndarray) -> bool:
    """Tell whether more than one value in a thousand is as low as fat and air in CT."""
    return bool(np.count_nonzero(sample < CT_EVIDENCE_HU) > 0.001 * (sample.size - 1))


def _only_a_fill_is_low(sample: np.ndarray) -> bool:
    """Tell whether nothing but a constant, and what resampling makes of its edge, lies below what MR has."""
    low = sample[sample < CT_EVIDENCE_HU]
    if not low.size:  # few voxels
        return False
    fill = np.partition(low, low.size // 2)[low.size // 2]  # the median: a value that occurs
    rest = sample[sample != fill]
    if sample.size - rest.size < FILL_SHARE * sample.size or not rest.size:
        return False
    if np.mean(rest < CT_EVIDENCE_HU) > FAT_SHARE or np.unique(rest).size <= FEW_VALUES:
        return False
    return bool(np.mean((rest < 0) & (rest > CT_EVIDENCE_HU)) < 0.01)  # HU scatter about 0


def guess_hu_offset(array: np.ndarray) -> float:
    """What was added to HU in a CT without negative values: 1024 where the values tell so, else 0.

    Soft tissue and fat of CT lie within an eighth about their middle, which no MR does.

    Args:
        array: voxel values of any shape.
    """
    sample = value_sample(array, FEW_SAMPLES)
    tissue = sample[(sample > 0.4 * HU_OFFSET) & (sample < 3 * HU_OFFSET)]  # air, most of the lung and fills are not
    if has_low_values(sample) or tissue.size < 0.05 * sample.size:
        return 0.0
    low, high = (HU_OFFSET + limit for limit in SOFT_TISSUE_HU)
    inside = float(np.mean((tissue > low) & (tissue < high)))
    middle = abs(float(np.median(tissue)) - HU_OFFSET) < SOFT_TISSUE_HU[1] / 2
    return HU_OFFSET if inside > TISSUE_SHARE and middle else 0.0
