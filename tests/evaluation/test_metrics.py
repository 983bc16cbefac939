"""Scores are what a reader of a table expects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from monai_semgan.evaluation.metrics import dice, mean_dice, score_volume, surface_distances
from monai_semgan.io.volume import Volume

LABELS = {1: "liver", 2: "spleen"}


def cube(low: int, high: int) -> np.ndarray:
    volume = np.zeros((20, 20, 20), bool)
    volume[low:high, 5:15, 5:15] = True
    return volume


def test_dice_of_half_overlapping_cubes_is_one_half() -> None:
    assert dice(cube(0, 8), cube(4, 12)) == pytest.approx(0.5)
    assert dice(cube(0, 8), cube(0, 8)) == 1.0
    assert math.isnan(dice(cube(0, 0), cube(0, 0)))


def test_hausdorff_distance_is_in_millimetres() -> None:
    assert surface_distances(cube(2, 8), cube(5, 11), (2.0, 1.0, 1.0))[0] == pytest.approx(6.0)
    assert math.isnan(surface_distances(cube(0, 0), cube(2, 8), (1.0, 1.0, 1.0))[0])


@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_are_those_of_monai(seed: int) -> None:
    rng, spacing = np.random.default_rng(seed), [0.8, 1.3, 4.0]
    pair = [rng.random((9, 14, 11)) < share for share in (0.03, 0.6)]
    pair[1][:, :, 4:] = False  # touches the edge of the volume, and pieces of the other lie far away
    one, other = (torch.from_numpy(volume)[None, None].float() for volume in pair)
    farthest = compute_hausdorff_distance(one, other, True, percentile=95, spacing=spacing)
    average = compute_average_surface_distance(one, other, True, symmetric=True, spacing=spacing)
    found = surface_distances(pair[0], pair[1], (0.8, 1.3, 4.0))
    assert found == pytest.approx((farthest.item(), average.item()), rel=1e-6)


def test_volumes_are_in_millilitres_and_a_missing_organ_scores_zero() -> None:
    reference = cube(0, 10).astype(int) + 2 * cube(12, 20)
    scores = score_volume(
        cube(0, 10).astype(int), Volume(reference, np.diag([1.0, 1.0, 2.0, 1.0])), {1: "liver", 2: "spleen"}
    )
    assert scores["liver"].dice == 1.0 and scores["liver"].hd95 == 0.0
    assert scores["liver"].reference_ml == pytest.approx(2.0)
    assert scores["spleen"].dice == 0.0 and scores["spleen"].predicted_ml == 0.0
    assert mean_dice([scores]) == {"liver": 1.0, "spleen": 0.0, "mean": 0.5}


def test_volumes_on_a_sheared_grid_are_those_of_the_segmentation() -> None:
    affine = np.eye(4)
    affine[0, 2] = 3.0  # as of a scan with tilted gantry: voxels 3.16 mm apart, yet of 1 mm³
    reference = Volume(cube(0, 10).astype(int), affine)
    scores = score_volume(reference.array, reference, {1: "liver"}, False)
    assert scores["liver"].reference_ml == pytest.approx(1.0)
    assert reference.voxel_ml == pytest.approx(0.001)


def test_an_organ_that_no_patient_has_is_left_out_of_the_mean() -> None:
    scores = score_volume(cube(0, 4).astype(int), Volume(cube(0, 4).astype(int), np.eye(4)), LABELS, False)
    assert mean_dice([scores]) == {"liver": 1.0, "mean": 1.0}


def test_other_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="grids differ"):
        score_volume(np.zeros((2, 2, 2)), Volume(np.zeros((2, 2, 3)), np.eye(4)), {1: "liver"})


@pytest.mark.parametrize("thin", [0, 1, 2])
def test_the_outline_of_a_picture_lies_in_its_plane(thin: int) -> None:
    one, other = np.zeros((24, 24), bool), np.zeros((24, 24), bool)
    one[4:14, 4:14], other[7:17, 4:14] = True, True
    pair = [np.expand_dims(mask, thin) for mask in (one, other)]
    assert surface_distances(*pair, (1.0, 1.0, 1.0))[0] == 3.0
    flat = [torch.from_numpy(mask)[None, None].float() for mask in (one, other)]
    average = compute_average_surface_distance(*flat, True, symmetric=True).item()
    assert surface_distances(*pair, (1.0, 1.0, 1.0))[1] == pytest.approx(average)


def test_a_picture_is_scored_in_pixels_whatever_its_header_says() -> None:
    lungs = cube(2, 8)[:, :, 9:10].astype(int)
    reference = Volume(lungs, np.diag([0.2, 0.2, 1.0, 1.0]))
    (score,) = score_volume(np.roll(lungs, 2, 0), reference, {1: "lungs"}, in_pixels=True).values()
    assert (score.reference_size, score.predicted_size, score.error, score.hd95) == (60, 60, 0, 2.0)
    assert score.in_pixels and math.isnan(score.reference_ml) and math.isnan(score.error_ml)
