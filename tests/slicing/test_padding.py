"""Constant fills outside the scanned field count as air, whatever value a program has put there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_semgan.io.volume import Volume
from monai_semgan.modalities import guess_hu_offset, guess_modality
from monai_semgan.slicing.padding import find_padding
from monai_semgan.slicing.prepared import PreparedVolume
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import ExtractSlicesd, NormaliseIntensityd, PlanSlicesd
from tests.phantoms import BODY, CENTRE, body_at, grid, patient, points_of

SMALL = Preprocessing(size=96, pixel_mm=3.75)
AFFINE, SHAPE = grid((4.0, 4.0, 8.0))
POINTS = points_of(AFFINE, SHAPE)
CIRCLE = ((((POINTS - CENTRE) / (160.0, 110.0, 1.0))[..., :2] ** 2).sum(-1) < 1) | body_at(POINTS)


def noisy(modality: str) -> np.ndarray:
    """The patient with fat, and noise everywhere."""
    array = patient(AFFINE, SHAPE, modality, seed=3).array.copy()
    skin = body_at(POINTS) & ~body_at(CENTRE + (POINTS - CENTRE) * 1.1)
    array[skin] = np.random.default_rng(4).normal(*((-100, 15) if modality == "CT" else (300, 10)), skin.sum())
    return np.round(array)


def filled(modality: str, value: float) -> Volume:
    array = noisy(modality)
    array[~CIRCLE] = value
    return Volume(array.astype(np.float32), AFFINE)


def inside(prepared: PreparedVolume) -> np.ndarray:
    """Pixels of the slices that lie within the circle, with a margin for interpolation."""
    seen = prepared.geometry.extract(CIRCLE.astype(np.float32))
    return (seen > 0.999).numpy()


@pytest.mark.parametrize("modality", ["CT", "MR"])
@given(value=st.sampled_from([-32768, -3024, -2000, -1024, -1000, 3071, 4095, 32767, 62512, 65535]))
@settings(max_examples=20, deadline=None)
def test_a_fill_of_any_value_changes_neither_the_modality_nor_the_body_nor_its_grey_values(
    modality: str, value: float
) -> None:
    plain, padded = SMALL(Volume(noisy(modality), AFFINE)), SMALL(filled(modality, value))
    assert padded.modality == modality
    np.testing.assert_allclose(padded.geometry.grid_affine, plain.geometry.grid_affine)
    assert padded.value_range == pytest.approx(plain.value_range, abs=5)
    where = inside(plain)
    assert float((padded.image - plain.image)[:, 0][where].abs().max()) < 0.05
    assert float(padded.image[:, 0][~where].mean()) < -0.9, "dark around the patient"


@pytest.mark.parametrize("value", [62512.0, 0.0])
def test_the_user_is_told_and_the_scan_stays_as_it_is(value: float) -> None:
    volume = filled("CT", value)
    before = volume.array.copy()
    notes = SMALL(volume).notes
    assert len(notes) == 1 and f"constant value {value:g} at the border" in notes[0] and "counts as air" in notes[0]
    np.testing.assert_array_equal(volume.array, before)


def masked(array: np.ndarray, value: float, lungs: bool) -> tuple[np.ndarray, np.ndarray]:
    """The scan with one value for all air, also in two cavities of the body if wanted; and where these are."""
    cavities = np.zeros(SHAPE, bool)
    cavities[26:38, 20:40, 10:20] = cavities[50:55, 28:34, 10:16] = True
    cavities &= body_at(POINTS)
    gone = ~body_at(POINTS) | (cavities if lungs else False)
    return np.where(gone, value, array), cavities


def z_scored(array: np.ndarray, scale: float = 1.0) -> np.ndarray:
    inside = array[body_at(POINTS)]
    return np.asarray((array - inside.mean()) / inside.std() * scale)


@pytest.mark.parametrize("lungs", [True, False], ids=["with cavities", "without"])
@pytest.mark.parametrize("kind", ["CT", "CT resampled", "MR z-scored", "MR z-scored integers"])
@given(share=st.floats(0.25, 0.75), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_background_set_to_a_middle_grey_is_air_inside_as_outside_and_what_was_measured_so_stays(
    kind: str, lungs: bool, share: float, seed: int
) -> None:
    modality = kind[:2]
    noise = np.random.default_rng(seed).normal(0, 10, SHAPE)
    array = noisy(modality) + (noise if kind == "CT resampled" else np.round(noise))
    scored = z_scored(array, 1000.0 if "integers" in kind else 1.0) if modality == "MR" else array
    value = float(np.round(np.quantile(scored[body_at(POINTS)], share)) if modality == "CT" else 0.0)
    scored = np.round(scored) if "integers" in kind else scored
    volume, cavities = masked(scored, value, lungs)
    padding = find_padding(volume, modality)
    assert padding is not None and padding.values == (value,)
    cleaned = padding.removed(volume)
    tissue = body_at(POINTS) & ~cavities
    if lungs:
        assert (cleaned[cavities] == padding.air).all(), "a cavity that was masked with the air"
    else:
        np.testing.assert_array_equal(cleaned[body_at(POINTS)], scored[body_at(POINTS)])
    assert float(np.mean(cleaned[tissue] != scored[tissue])) < 0.01
    assert float(np.mean(cleaned[~body_at(POINTS)] == padding.air)) > 0.98


@pytest.mark.parametrize("value", [3071.0, 62512.0])
def test_metal_that_a_scanner_cuts_off_stays_where_the_fill_has_its_value_but_none_measures_62512(value: float) -> None:
    volume = filled("CT", value)
    volume.array[35:43, 27:35, 9:15] = np.random.default_rng(5).uniform(300, 3000, (8, 8, 6))  # it streaks
    metal = (slice(36, 42), slice(28, 34), slice(10, 14))
    volume.array[metal] = value
    padding = find_padding(volume.array, "CT")
    assert padding is not None
    cleaned = padding.removed(volume.array)
    assert (cleaned[metal] == (3071 if value == 3071 else -1000)).all()
    assert (cleaned[~CIRCLE] == -1000).mean() > 0.99


def test_blocks_and_empty_slices_are_fills_too() -> None:
    array = noisy("MR")
    array[:, :6], array[:, :, -3:] = -1024, -1024
    prepared = SMALL(Volume(array, AFFINE))
    assert prepared.modality == "MR" and prepared.padding is not None and prepared.value_range[0] >= 0
    assert float(prepared.image[-3:].max()) == -1


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_scans_without_a_fill_and_with_dark_air_of_one_value_are_taken_as_they_are(modality: str) -> None:
    dark = {"CT": (-1024.0, -3024.0, -125.0), "MR": (0.0,)}[modality]
    for value in dark:
        assert find_padding(filled(modality, value).array, modality) is None, value
    assert find_padding(noisy(modality), modality) is None
    assert find_padding(patient(AFFINE, SHAPE, modality).array, modality) is None, "a phantom without noise"


def test_a_body_that_fills_the_scan_is_no_fill() -> None:
    middle = tuple(slice(n // 2 - 12, n // 2 + 12) for n in SHAPE)
    crop = patient(AFFINE, SHAPE).array[middle[0], middle[1], middle[2]]
    assert find_padding(crop, "CT") is None and find_padding(np.full((20, 20, 20), 7.0), "MR") is None


def test_resampling_a_filled_mr_does_not_make_it_a_ct() -> None:
    from scipy.ndimage import zoom

    array = zoom(filled("MR", -1024).array, (1.3, 1.3, 1.0), order=1)
    assert guess_modality(array) == "MR" and guess_modality(zoom(filled("CT", -1024).array, 1.3, order=1)) == "CT"


def test_a_phantom_without_noise_is_a_ct_and_so_is_one_whose_air_alone_has_none() -> None:
    array = patient(AFFINE, SHAPE).array
    assert guess_modality(array) == "CT"
    noisy_body = np.where(body_at(POINTS), array + np.random.default_rng(0).normal(0, 15, SHAPE), array)
    assert guess_modality(noisy_body) == "CT"


@pytest.mark.parametrize("value", [-1024.0, 62512.0])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_transforms_of_a_configuration_give_the_same_slices(modality: str, value: float) -> None:
    volume = filled(modality, value)
    data = {"image": MetaTensor(volume.array[None], affine=AFFINE)}
    for step in (PlanSlicesd("image", SMALL), NormaliseIntensityd("image"), ExtractSlicesd("image")):
        data = step(data)
    found = data["image"].as_tensor()[0].permute(2, 0, 1)
    np.testing.assert_allclose(found, SMALL(volume).image[:, 0], atol=1e-5)


def test_a_radiograph_with_a_far_fill_keeps_its_contrast() -> None:
    chest = Preprocessing(size=64, field_of_view="image", num_classes=2)
    array = np.random.default_rng(0).normal(1500, 300, (120, 100, 1)).round()
    array[:20], array[:, :12] = 65535, 65535
    high = chest(Volume(array.astype(np.float32), np.eye(4), modality="DX")).value_range[1]
    assert high < 3000


@given(st.floats(0, 40), st.floats(-20, 60))
@settings(max_examples=15, deadline=None)
def test_a_ct_raised_by_1024_is_read_as_hu(noise: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    hu = noisy("CT") + rng.normal(0, noise, SHAPE) + shift * body_at(POINTS)
    raised = np.clip(hu + 1024, 0, 4095).astype(np.float32)
    plain, prepared = SMALL(Volume(hu, AFFINE)), SMALL(Volume(raised, AFFINE))
    assert prepared.modality == "CT" and prepared.value_range == (899.0, 1299.0)
    assert float((prepared.image - plain.image).abs().max()) < 0.01
    assert any("with 1024 added" in note for note in prepared.notes)
    assert SMALL(Volume(raised, AFFINE), "MR").modality == "MR", "what the user says counts"
    assert SMALL(Volume(raised, AFFINE), "CT").value_range == (899.0, 1299.0)


@given(st.floats(0.2, 12))
@settings(max_examples=20, deadline=None)
def test_no_gain_makes_an_mr_a_raised_ct(gain: float) -> None:
    assert guess_hu_offset(noisy("MR") * gain) == 0


@pytest.mark.parametrize("scaled", [1 / 400, 255 / 400], ids=["0..1", "8 bits"])
def test_a_ct_that_is_said_to_be_one_and_not_in_hu_is_told(scaled: float) -> None:
    array = (np.clip(noisy("CT"), -125, 275) + 125) * scaled
    notes = SMALL(Volume(array, AFFINE), "CT").notes
    assert len(notes) == 1 and "not in HU" in notes[0]
    assert not SMALL(Volume(noisy("CT"), AFFINE), "CT").notes
    assert SMALL(Volume(array, AFFINE)).guessed and not SMALL(Volume(array, AFFINE), "MR").guessed


def test_the_body_of_the_phantom_is_inside_the_circle() -> None:
    assert BODY[0] < 160 and BODY[1] < 110 and (~CIRCLE).mean() > 0.1
