"""What a DICOM header calls padding becomes the darkest value; what is only dark, or may be tissue, stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, pixels, write_series

AFFINE = np.diag([-2.0, -2, 3, 1])
INSIDE = np.hypot(*np.mgrid[-7:8, -7:8]) < 7
"""The circle of the scanner."""


def scan(folder: Path, low: int, modality: str, padding: int, dtype: str, **tags: Any) -> tuple[np.ndarray, Path]:
    """Values in the circle, and stored padding outside."""
    array = np.random.default_rng(0).integers(low, 1500, (15, 15, 4)).astype(np.float32)
    intercept = -1024 if modality == "CT" else 0
    stack = datasets(array, AFFINE, modality, (1.0, intercept))
    for k, dataset in enumerate(stack):
        stored = np.where(INSIDE, array[..., k].T - intercept, 0).astype(np.int64)
        pixels(dataset, np.where(INSIDE, stored, padding).astype(dtype))
        for name, value in tags.items():
            setattr(dataset, name, value)
            dataset[name].VR = "US" if value >= 0 else "SS"
    return array, write_series(folder, stack)


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "bright, unsigned": (
        {"low": -1000, "modality": "CT", "padding": 63536, "dtype": "u2", "PixelPaddingValue": 63536},
        "62512",
    ),
    "named as a signed number": (
        {"low": -1000, "modality": "CT", "padding": 63536, "dtype": "u2", "PixelPaddingValue": -2000},
        "62512",
    ),
    "air is darker than all that was measured": (
        {"low": -100, "modality": "CT", "padding": 4095, "dtype": "u2", "PixelPaddingValue": 4095},
        "3071",
    ),
    "a range": (
        {
            "low": -1000,
            "modality": "CT",
            "padding": 30010,
            "dtype": "u2",
            "PixelPaddingValue": 30000,
            "PixelPaddingRangeLimit": 30100,
        },
        "28986",
    ),
    "dark in MR": (
        {"low": 5, "modality": "MR", "padding": -1024, "dtype": "i2", "PixelPaddingValue": -1024},
        "-1024",
    ),
    "bright in MR": (
        {"low": 5, "modality": "MR", "padding": 32767, "dtype": "i2", "PixelPaddingValue": 32767},
        "32767",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_padding_becomes_the_darkest_value(case: str, tmp_path: Path) -> None:
    options, named = CASES[case]
    array, path = scan(tmp_path, **options)
    volume = read_volume(path)
    inside = INSIDE.T
    assert np.array_equal(volume.array[inside], array[inside]) and volume.array.dtype == np.int16
    assert np.unique(volume.array[~inside]) == (array[inside].min() if options["modality"] == "MR" else -1000)
    share = f"{np.mean(~inside):.1%}"
    assert len(volume.notes) == 1 and volume.notes[0].startswith(f"{share} of the voxels are padding by the header")
    assert named in volume.notes[0]


KEPT: dict[str, dict[str, Any]] = {
    "dark in CT": {"low": -1000, "modality": "CT", "padding": -976, "dtype": "i2", "PixelPaddingValue": -976},
    "black in MR": {"low": 5, "modality": "MR", "padding": 0, "dtype": "u2", "PixelPaddingValue": 0},
    "a value that tissue may have": {
        "low": -1000,
        "modality": "CT",
        "padding": 1024,
        "dtype": "u2",
        "PixelPaddingValue": 1024,
    },
    "not named": {"low": -1000, "modality": "CT", "padding": 63536, "dtype": "u2"},
    "another one named": {"low": -1000, "modality": "CT", "padding": 63536, "dtype": "u2", "PixelPaddingValue": 60000},
}


@pytest.mark.parametrize("case", KEPT)
def test_other_values_stay(case: str, tmp_path: Path) -> None:
    array, path = scan(tmp_path, **KEPT[case])
    volume = read_volume(path)
    inside, intercept = INSIDE.T, -1024 if KEPT[case]["modality"] == "CT" else 0
    assert np.array_equal(volume.array[inside], array[inside]) and volume.notes == ()
    assert np.array_equal(np.unique(volume.array[~inside]), [KEPT[case]["padding"] + intercept])


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(padding=st.integers(0, 65535), modality=st.sampled_from(["CT", "MR"]), signed=st.booleans())
def test_measured_voxels_never_change(
    padding: int, modality: str, signed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    value = padding - 65536 if signed and padding > 32767 else padding
    dtype = "i2" if signed and value <= 32767 else "u2"
    folder = tmp_path_factory.mktemp("s")
    array, path = scan(folder, 0, modality, value if dtype == "i2" else padding, dtype, PixelPaddingValue=value)
    assert np.array_equal(read_volume(path).array[INSIDE.T], array[INSIDE.T])
