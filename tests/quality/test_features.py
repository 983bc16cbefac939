from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_semgan.quality.features import (
    OrganPrior,
    best_class,
    organ_shapes,
    quality_features,
    slice_uncertainty,
    soft_dice,
)

AFFINE = np.diag([3.0, 3.0, 5.0, 1.0])
ORGANS = {1: "liver", 2: "spleen"}


def certain(label: np.ndarray, sureness: float = 0.97) -> torch.Tensor:
    """Probabilities `(D, 3, H, W)` that give the label with the same sureness everywhere."""
    p = torch.full((label.shape[0], 3, *label.shape[1:]), (1 - sureness) / 2)
    return p.scatter_(1, torch.from_numpy(label.astype(np.int64))[:, None], sureness)


@pytest.fixture
def label() -> np.ndarray:
    """A liver and a smaller spleen, the spleen at larger rows."""
    array = np.zeros((8, 40, 40), np.uint8)
    array[1:7, 4:18, 10:30] = 1
    array[2:6, 28:36, 12:22] = 2
    return array


def test_a_sure_and_smooth_result_has_no_signs(label: np.ndarray) -> None:
    liver = quality_features(certain(label, 0.999), AFFINE, ORGANS, {})["liver"]
    assert liver["doubt"] < 0.02 and liver["pieces"] == 0 and liver["missing"] == 0
    assert liver["volume"] == 0 and liver["place"] == 0


def test_doubt_grows_with_unsure_probabilities(label: np.ndarray) -> None:
    doubts = [quality_features(certain(label, s), AFFINE, ORGANS, {})["liver"]["doubt"] for s in (0.99, 0.8, 0.6)]
    assert doubts == sorted(doubts) and doubts[-1] > doubts[0] + 0.1


def test_specks_far_from_the_organ_are_noticed(label: np.ndarray) -> None:
    label[1:3, 36:39, 30:39] = 1
    assert quality_features(certain(label), AFFINE, ORGANS, {})["liver"]["pieces"] > 0.01


def test_a_vessel_in_its_natural_pieces_is_not_torn_and_has_no_place_of_its_own(label: np.ndarray) -> None:
    label[:, 36:39, 34:39] = np.where(np.arange(8) % 4 < 3, 1, 0)[:, None, None]
    prior = OrganPrior((0.0, 0.1), (0.0, 0.0, 0.0), (5.0, 5.0, 5.0))
    vessel = quality_features(certain(label), AFFINE, {1: "portal vein", 2: "spleen"}, {})["portal vein"]
    organ = quality_features(certain(label), AFFINE, {1: "liver", 2: "spleen"}, {})["liver"]
    assert vessel["pieces"] == 0 < organ["pieces"]
    aorta = quality_features(certain(label), AFFINE, {1: "aorta", 2: "spleen"}, {"aorta": prior})["aorta"]
    assert aorta["volume"] == aorta["place"] == 0 and aorta["missing"] == 0


def test_what_goes_on_beyond_the_scan_is_no_landmark_for_others(label: np.ndarray) -> None:
    places = [
        organ_shapes(label, AFFINE, {1: vessel, 2: "spleen"}).keys() for vessel in ("aorta", "oesophagus", "liver")
    ]
    assert [set(found) for found in places] == [{"spleen"}, {"spleen"}, {"liver", "spleen"}]


def test_a_missing_organ_is_noticed(label: np.ndarray) -> None:
    organ_features = quality_features(certain(np.where(label == 2, 0, label)), AFFINE, ORGANS, {})
    assert organ_features["spleen"]["missing"] == 1 and organ_features["liver"]["missing"] == 0


def test_size_and_place_unlike_training_are_noticed(label: np.ndarray) -> None:
    liver = float((label == 1).sum()) * 0.045
    usual = OrganPrior((float(np.log(liver)), 0.2), (-35.0, 3.0, 0.0), (10.0, 10.0, 10.0))
    organ_features = quality_features(certain(label), AFFINE, ORGANS, {"liver": usual})["liver"]
    assert organ_features["volume"] == 0 and organ_features["place"] < 1
    mirrored = quality_features(certain(label[:, ::-1].copy()), AFFINE, ORGANS, {"liver": usual})["liver"]
    assert mirrored["place"] > 3
    small = OrganPrior((float(np.log(liver)) - 1.0, 0.2), (-35.0, 3.0, 0.0), (10.0, 10.0, 10.0))
    assert quality_features(certain(label), AFFINE, ORGANS, {"liver": small})["liver"]["volume"] == pytest.approx(4)


def test_slices_that_flicker_are_uneven(label: np.ndarray) -> None:
    steady = quality_features(certain(label), AFFINE, ORGANS, {})["liver"]["unevenness"]
    label[2:7:2, 4:12] = 0
    assert quality_features(certain(label), AFFINE, ORGANS, {})["liver"]["unevenness"] > steady + 0.1


def test_doubt_of_empty_slices_is_undefined_and_largest_in_unsure_ones(label: np.ndarray) -> None:
    probabilities = certain(label, 0.99)
    probabilities[3] = certain(label, 0.55)[3]
    uncertainty = slice_uncertainty(probabilities)
    assert uncertainty.shape == (8,) and np.nanargmax(uncertainty) == 3 and np.nanmax(uncertainty) <= 1
    assert np.array_equal(np.isnan(uncertainty), ~label.any((1, 2))) and np.isnan(uncertainty[0])


def test_soft_dice_of_certainty_is_one() -> None:
    mask = np.eye(4, dtype=bool)
    assert soft_dice(mask.astype(float), mask) == 1 and soft_dice(np.full((4, 4), 0.5), mask) < 0.4


def test_a_long_scan_takes_little_memory_beside_its_probabilities() -> None:
    import tracemalloc

    probabilities = torch.rand(80, 3, 64, 64, generator=torch.Generator().manual_seed(0)).softmax(1)
    tracemalloc.start()
    quality_features(probabilities, np.eye(4), {1: "liver", 2: "spleen"}, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 80 * 64 * 64  # bytes: the places of an organ's voxels, in eight bytes each, are most of it


def test_slices_have_the_same_doubt_in_a_long_scan_as_alone() -> None:
    probabilities = torch.rand(70, 3, 16, 16, generator=torch.Generator().manual_seed(0)).softmax(1)
    alone = np.concatenate([slice_uncertainty(one) for one in probabilities.split(1)])
    assert np.array_equal(slice_uncertainty(probabilities), alone)


def test_the_best_class_is_that_of_every_pixel_also_where_a_slice_shows_nothing() -> None:
    p = torch.rand(70, 4, 9, 7, generator=torch.Generator().manual_seed(2))
    p[10:50, 0] += 1.0
    assert torch.equal(best_class(p), p.argmax(1).to(torch.uint8))
    assert best_class(p)[10:50].sum() == 0


def test_slices_without_an_organ_have_no_uncertainty_and_the_others_keep_theirs(label: np.ndarray) -> None:
    found = slice_uncertainty(certain(label, 0.9))
    assert np.isnan(found[[0, 7]]).all() and np.isfinite(found[1:7]).all()
    np.testing.assert_allclose(found[1:7], slice_uncertainty(certain(label[1:7], 0.9)))
