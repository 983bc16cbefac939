"""Positions that exporters round are evenly spaced; those that are not are found among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, text, write_series

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.5, 0, 40], [0, 0, 3, -50], [0, 0, 0, 1]])


def values(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1500, shape).astype(np.float32)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    spacing=st.floats(0.4, 6),
    count=st.integers(3, 60),
    start=st.floats(-900, 900),
    digits=st.integers(1, 4),
    shift=st.floats(-400, 400),
)
@example(spacing=0.5, count=3, start=1.25, digits=1, shift=0.0)  # at 1.2, 1.8 and 2.2 mm
def test_rounded_positions_are_even_and_the_spacing_is_that_of_the_scanner(
    tmp_path_factory: pytest.TempPathFactory, spacing: float, count: int, start: float, digits: int, shift: float
) -> None:
    affine = AFFINE.copy()
    affine[:3, 3], affine[2, 2] = (shift, -shift, start), spacing
    array = np.random.default_rng(0).integers(0, 99, (3, 2, count)).astype(float)
    stack = datasets(array, affine)
    for k, dataset in enumerate(stack):
        place = [*dataset.ImagePositionPatient[:2], f"{start + k * spacing:.{digits}f}"]
        dataset.ImagePositionPatient = place
    volume = read_volume(write_series(tmp_path_factory.mktemp("s"), stack))
    off = np.abs((volume.affine - affine) @ [[0, 0], [0, 0], [0, count - 1], [1, 1]]).max()
    assert np.array_equal(volume.array, array) and off < 1.5 * 10**-digits
    if count > 10:  # the ends alone would tell it to a digit / (count - 1) only
        assert abs(volume.spacing[2] - spacing) < 10**-digits / (count - 1)


@pytest.mark.parametrize("digits", [1, 4])
@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_missing_slice_is_found_in_rounded_positions(digits: int, missing: int, tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 2] = 0.625
    stack = datasets(values((3, 3, 12)), affine)
    for k, dataset in enumerate(stack):
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], f"{0.625 * k:.{digits}f}"]
    del stack[missing]
    with pytest.raises(SemganError, match="slices are missing"):
        read_volume(write_series(tmp_path, stack))


def test_a_spacing_that_grows_is_uneven_however_slowly(tmp_path: Path) -> None:
    """Each distance is within a tenth of its neighbours, and the last slice two slices away from an even place."""
    stack = datasets(values((3, 3, 40)), AFFINE)
    for place, dataset in zip(np.cumsum(np.linspace(2.8, 3.2, 40)), stack, strict=True):
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], text(place)[0]]
    with pytest.raises(SemganError, match="unevenly spaced, from 2.8.* to 3.2"):
        read_volume(write_series(tmp_path, stack))
