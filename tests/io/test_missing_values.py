"""NaN where nothing was seen is filled, with a note; NaN in the body is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.missing_values import filled
from monai_semgan.io.reading import read_label, read_volume
from tests.phantoms import save_nifti

SHAPE = (20, 18, 9)


def body() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1000, 500, SHAPE).astype(np.float32)


def outside_a_circle() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    return np.repeat((x**2 + y**2 > 1)[..., None], SHAPE[2], axis=2)


def rows(*numbers: int) -> np.ndarray:
    missing = np.zeros(SHAPE, bool)
    missing[list(numbers)] = True
    return missing


def slices(*numbers: int) -> np.ndarray:
    return np.moveaxis(np.broadcast_to(np.isin(np.arange(SHAPE[2]), numbers), SHAPE), 0, 0)


BORDERS = {"rows": rows(0, 1), "both sides": rows(0, 19), "a circle": outside_a_circle(), "slices": slices(0, 1, 8)}


@pytest.mark.parametrize("case", BORDERS)
def test_nan_at_the_border_becomes_the_lowest_value_with_a_note(case: str, tmp_path: Path) -> None:
    array, missing = body(), BORDERS[case]
    array[missing] = np.nan
    volume = read_volume(save_nifti(tmp_path / "a.nii.gz", array))
    lowest = np.nanmin(array)
    assert (volume.array[missing] == lowest).all() and np.array_equal(volume.array[~missing], array[~missing])
    assert "% of the voxels, at the border, are no numbers (NaN)" in volume.notes[0]


@pytest.mark.parametrize(
    "place",
    [(slice(5, 9), slice(5, 9), slice(3, 5)), (10, 9, 4), (slice(5, 9), slice(5, 9), slice(0, 1))],
    ids=["inside", "one voxel", "in the first slice"],
)
def test_nan_in_the_body_is_refused_though_there_is_more_at_the_border(place: tuple, tmp_path: Path) -> None:
    array = body()
    array[0] = np.nan
    array[place] = np.nan
    inside = int(np.isnan(array[1:]).sum())
    with pytest.raises(SemganError, match=f"{inside} voxels are NaN or infinite, away from the border"):
        read_volume(save_nifti(tmp_path / "a.nii.gz", array))


def test_infinite_values_and_volumes_of_nothing_but_nan_are_refused(tmp_path: Path) -> None:
    array = body()
    array[0] = np.inf
    with pytest.raises(SemganError, match="NaN or infinite"):
        read_volume(save_nifti(tmp_path / "a.nii.gz", array))
    with pytest.raises(SemganError, match="NaN or infinite"):
        read_volume(save_nifti(tmp_path / "a.nii.gz", np.full(SHAPE, np.nan, np.float32)))


def test_a_label_has_background_there(tmp_path: Path) -> None:
    label = np.full(SHAPE, 3, np.float32)
    label[:4] = np.nan
    read = read_label(save_nifti(tmp_path / "l.nii.gz", label)).array
    assert not read[:4].any() and (read[4:] == 3).all()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0), inside=st.booleans())
def test_every_volume_is_filled_or_refused(seed: int, share: float, inside: bool) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 8, 3))
    array = random.normal(size=shape).astype(np.float32)
    missing = random.random(shape) < share
    if not inside:
        missing[1:] = False
    array[missing] = np.nan
    try:
        found, notes = filled(array.copy(), None, Path("a"))
    except SemganError as error:
        assert missing.any() and "NaN" in str(error)
    else:
        assert np.isfinite(found).all() and np.array_equal(found[~missing], array[~missing])
        assert bool(notes) == bool(missing.any())
