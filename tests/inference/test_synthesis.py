"""Generated slices and synthetic patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.inference.patient_shape import PatientShape, organ_levels, patient_shape
from monai_semgan.inference.synthesis import (
    SyntheticSlices,
    choose_path,
    sample_patient,
    sample_slices,
    smooth_walk,
    viterbi,
)


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle, "cpu")


def test_the_seed_decides_and_truncation_lessens_the_variety(bundle: Bundle) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.nn.init.normal_(bundle.network.encoder.heads, std=0.05)  # an encoder that tells images apart
    first, again, other = (sample_slices(bundle, 5, seed).image for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    varied, typical = (sample_slices(bundle, 20, 0, truncation).image.std(0).mean() for truncation in (1.0, 0.2))
    assert typical < varied


def test_a_patient_is_a_smooth_stack_in_hounsfield_units(bundle: Bundle) -> None:
    image, label = sample_patient(bundle, seed=3)
    assert image.array.shape == label.array.shape == (32, 32, 42)
    assert image.array.min() >= -125 and image.array.max() <= 275
    assert label.array.dtype == np.uint8 and label.array.max() < 5
    assert tuple(image.spacing) == pytest.approx((11.0, 11.0, 5.0))
    centre = image.affine @ [*(np.array(image.array.shape) - 1) / 2, 1]
    assert np.allclose(centre[:3], 0)
    steps = np.abs(np.diff(image.array, axis=2)).mean((0, 1))
    apart = np.abs(image.array[..., :1] - image.array).mean((0, 1))[1:]
    assert steps.max() < max(apart.max(), 1e-6)


def test_the_path_visits_organs_at_their_level() -> None:
    label = np.zeros((6, 8, 8), np.uint8)
    label[1, :4] = 1
    label[4, :, :4] = 2
    image = np.random.default_rng(0).normal(0, 0.001, (6, 8, 8)).astype(np.float32)
    levels = np.array([[32.0, 0.0], [0.0, 32.0]])
    assert choose_path(SyntheticSlices(image, label), 10.0, levels) == [1, 4]


def test_organs_that_no_size_is_known_of_leave_the_path_to_the_others() -> None:
    label = np.zeros((6, 8, 8), np.uint8)
    label[1, :4], label[2, :4], label[2, 4:] = 2, 2, 3
    label[4, :, :4] = 3
    image = np.random.default_rng(0).normal(0, 0.001, (6, 8, 8)).astype(np.float32)
    names = {1: "stomach", 2: "right kidney", 3: "spleen"}
    shape = PatientShape(organ_cm2={"spleen": (0.0, 32.0), "Kidney_right": (32.0, 0.0)})
    levels = organ_levels(shape, names)
    assert np.isnan(levels[:, 0]).all()
    assert choose_path(SyntheticSlices(image, label), 10.0, levels) == [1, 4]


def test_without_a_description_the_path_goes_by_small_steps() -> None:
    image = np.linspace(-1, 1, 9, dtype=np.float32)[:, None, None].repeat(8, 1).repeat(8, 2)
    path = choose_path(SyntheticSlices(image, np.zeros((9, 8, 8), np.uint8)), 10.0, np.zeros(0))
    assert path == list(range(9))


def test_viterbi_finds_the_cheapest_sequence() -> None:
    generator = np.random.default_rng(0)
    level, step = generator.random((4, 3)), generator.random((3, 3))
    costs = {
        (a, b, c, d): level[range(4), [a, b, c, d]].sum() + step[a, b] + step[b, c] + step[c, d]
        for a in range(3) for b in range(3) for c in range(3) for d in range(3)
        if a != b and b != c and c != d
    }  # fmt: skip
    assert tuple(viterbi(level, step)) == min(costs, key=lambda path: costs[path])


def test_the_walk_passes_its_keys_without_overshoot() -> None:
    keys = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 5.0]])
    walk = smooth_walk(keys, 21)
    assert torch.allclose(walk[[0, 10, 20]], torch.from_numpy(keys).float(), atol=1e-6)
    assert walk[:, 0].max() <= 1 + 1e-6 and walk.min() >= -1e-6


def test_a_description_that_does_not_fit_is_refused(bundle: Bundle) -> None:
    named = {"organ_cm2": {"spleen": [1, 2], "liver": [1, 2, 3]}}, {"organ_cm2": {"thymus": [1, 2]}}
    for values in ({"organ_cm2": [[1, 2], [3, 4]]}, {"height_mm": 0}, {"colour": "red"}, *named):
        broken = Bundle(
            bundle.folder, bundle.network, bundle.preprocessing, {}, bundle.labels, settings={"patient": values}
        )
        with pytest.raises(SemganError, match="patient"):
            patient_shape(broken)
