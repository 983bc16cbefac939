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


SPELLINGS = {"CT": "CT", "MR": "MR", "MRI": "MR", "DX": "DX", "CR": "DX", "RG": "DX", "XR": "DX", "X-RAY": "DX"}


def canonical_modality(name: str) -> str:
    """Return `CT`, `MR` or `DX` (radiographs) for the usual spellings of a modality.

    Args:
        name: for example `ct`, `MRI`, `cr`.

    Raises:
        SemganError: the modality is none of these.
    """
    try:
        return SPELLINGS[str(name).strip().upper()]
    except KeyError:
        raise SemganError(f"unknown modality '{name}'", remedy="use CT, MR or DX (radiographs)") from None


def header_modality(name: str) -> str:
    """The modality that a file tells: as `canonical_modality` where it is known, else DICOM's own code."""
    return SPELLINGS.get(name.strip().upper(), name.strip().upper())


def guess_modality(array: np.ndarray) -> str:
    """Guess `CT` or `MR` from the values alone: values that reach below about -50 mean CT.

    One voxel in a thousand has to be that low, so a few resampling undershoots in an MR do not count.

    Args:
        array: voxel values of any shape.
    """
    flat = array.ravel(order="K")  # as it is stored: other orders take a copy
    sample = flat[:: max(1, flat.size // 1_000_000)]
    return "CT" if np.quantile(sample, 0.001) < CT_EVIDENCE_HU else "MR"
