"""CT is windowed, MR is scaled by its body, and either is recognised without a header."""

from __future__ import annotations

import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.modalities import CT_WINDOW, canonical_modality, guess_modality
from monai_semgan.slicing.window import percentile_range, rescale
from tests.phantoms import grid, patient


def scaled(array: np.ndarray) -> np.ndarray:
    """An MR as the networks see it."""
    return rescale(array, *percentile_range(array))


def test_the_ends_of_the_ct_window_become_minus_one_and_one() -> None:
    found = rescale(np.array([-1000.0, -125.0, 75.0, 275.0, 3000.0]), *CT_WINDOW)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-1, -1, 0, 1, 1], atol=1e-6)


def test_normalising_leaves_the_input_alone() -> None:
    array = np.array([0.0, 500.0], dtype=np.float32)
    rescale(array, *CT_WINDOW)
    assert array.tolist() == [0.0, 500.0]


def test_mr_looks_the_same_whatever_the_scanner_s_units() -> None:
    array = patient(*grid(), "MR", seed=0).array
    np.testing.assert_allclose(scaled(array), scaled(array * 7.3 + 11), atol=1e-4)


def test_one_bright_artefact_does_not_darken_the_mr() -> None:
    array = patient(*grid(), "MR", seed=0).array
    spoilt = array.copy()
    spoilt[0, 0, 0] = 1e6
    np.testing.assert_allclose(scaled(array)[1:], scaled(spoilt)[1:], atol=0.02)


@pytest.mark.parametrize("array", [np.zeros((3, 3, 3)), np.full((2, 2, 2), 7.0)])
def test_a_flat_image_gives_finite_values(array: np.ndarray) -> None:
    assert np.isfinite(scaled(array)).all()


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_modality_is_guessed_from_the_values(modality: str) -> None:
    assert guess_modality(patient(*grid(), modality, seed=1).array) == modality


def test_a_windowed_ct_and_a_standardised_mr_are_told_apart() -> None:
    ct = np.clip(patient(*grid(), "CT", seed=1).array, -125, 275)
    mr = patient(*grid(), "MR", seed=1).array
    assert guess_modality(ct) == "CT"
    assert guess_modality((mr - mr.mean()) / mr.std()) == "MR"


def test_a_few_negative_undershoots_do_not_make_an_mr_a_ct() -> None:
    mr = patient(*grid(), "MR", seed=1).array
    mr.reshape(-1)[:5] = -200
    assert guess_modality(mr) == "MR"


@pytest.mark.parametrize(("name", "expected"), [("ct", "CT"), ("MRI", "MR"), (" mr ", "MR"), ("CR", "DX")])
def test_usual_spellings_of_a_modality_are_known(name: str, expected: str) -> None:
    assert canonical_modality(name) == expected


def test_an_unknown_modality_is_named() -> None:
    with pytest.raises(SemganError, match="PET.*use CT, MR, DX"):
        canonical_modality("PET")
