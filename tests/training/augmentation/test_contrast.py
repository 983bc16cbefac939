"""Contrast randomisation changes grey values, never anatomy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from monai_semgan.training.augmentation.contrast import (
    ContrastRandomisation,
    apply_curves,
    bezier_curves,
    body_mask,
    equalised_axis,
    random_convolutions,
    random_curves,
)
from monai_semgan.training.augmentation.random_draws import BatchRandom


def phantom(count: int = 4, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A disc of fat with two organs of nearly the same grey value, in air."""
    row, column = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    image = torch.full((size, size), -1.0)
    labels = torch.zeros(size, size, dtype=torch.long)
    image[row**2 + column**2 < 0.7] = -0.75
    for label, centre in ((1, -0.35), (4, 0.35)):
        organ = row**2 + (column - centre) ** 2 < 0.06
        image[organ] = 0.1 + 0.01 * label
        labels[organ] = label
    return image.expand(count, 1, size, size).clone(), labels.expand(count, size, size).clone()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(**settings: float) -> ContrastRandomisation:
    off = dict.fromkeys(
        ("clean", "curve", "class", "convolution", "dark_air", "bias", "blur", "resolution", "noise"), 0.0
    )
    return ContrastRandomisation(**{f"{name}_probability": settings.get(name, value) for name, value in off.items()})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_output_is_finite_and_within_range(channels: int, size: tuple[int, int]) -> None:
    image = torch.rand(6, channels, *size) * 2 - 1
    labels = torch.randint(0, 5, (6, *size))
    for seed in range(8):
        result = ContrastRandomisation()(image, labels, seeded(seed))
        assert result.shape == image.shape and result.dtype == image.dtype
        assert torch.isfinite(result).all() and result.min() >= -1 and result.max() <= 1


@pytest.mark.parametrize("value", [-1.0, 0.3])
def test_constant_images_do_not_become_nan(value: float) -> None:
    result = ContrastRandomisation(clean_probability=0.0)(torch.full((8, 1, 32, 32), value), None, seeded())
    assert torch.isfinite(result).all()


def test_the_same_seed_gives_the_same_images_and_another_seed_others() -> None:
    image, labels = phantom()
    first = ContrastRandomisation()(image, labels, seeded(1))
    assert torch.equal(first, ContrastRandomisation()(image, labels, seeded(1)))
    assert not torch.equal(first, ContrastRandomisation()(image, labels, seeded(2)))


def test_the_input_is_not_changed() -> None:
    image, labels = phantom()
    before = image.clone()
    ContrastRandomisation()(image, labels, seeded())
    assert torch.equal(image, before)


def test_clean_probability_is_the_share_of_untouched_samples() -> None:
    image, _ = phantom(200, 32)
    result = ContrastRandomisation(clean_probability=0.3)(image, None, seeded())
    untouched = (result == image).flatten(1).all(dim=1).float().mean()
    assert 0.2 < untouched < 0.4
    assert torch.equal(ContrastRandomisation(clean_probability=1.0)(image), image)


def test_samples_of_a_batch_get_different_contrasts() -> None:
    image, _ = phantom(8)
    result = ContrastRandomisation(clean_probability=0.0)(image, None, seeded())
    assert torch.cdist(result.flatten(1), result.flatten(1)).fill_diagonal_(9.0).min() > 0.5


def test_air_stays_black_when_asked_and_may_brighten_otherwise() -> None:
    image, _ = phantom(16)
    corner = only(curve=1, convolution=1, dark_air=1)(image, None, seeded())[:, :, :4, :4]
    assert torch.equal(corner, torch.full_like(corner, -1.0))
    assert only(curve=1, convolution=1)(image, None, seeded())[:, :, :4, :4].max() > 0.0


def test_the_body_uses_the_range_as_after_percentile_scaling() -> None:
    image, _ = phantom(32)
    body = image[:, 0] > -0.9
    result = only(curve=1, dark_air=1)(image, None, seeded())
    spans = [float(one[0][inside].max() - one[0][inside].min()) for one, inside in zip(result, body, strict=True)]
    assert sorted(spans)[len(spans) // 4] > 1.4


def test_labelled_organs_of_the_same_grey_can_become_different() -> None:
    image, labels = phantom(32)
    settings = only(curve=1, dark_air=1, **{"class": 1})

    def contrast(result: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [(one[0][lab == 1].mean() - one[0][lab == 4].mean()).abs() for one, lab in zip(result, labels, strict=True)]
        )

    with_labels = contrast(settings(image, labels, seeded()))
    without = contrast(settings(image, None, seeded()))
    assert with_labels.median() > 3 * without.median()


def test_unknown_pixels_are_treated_as_background() -> None:
    image, labels = phantom(8)
    unknown = only(curve=1)(image, torch.full_like(labels, 255), seeded())
    background = only(curve=1)(image, torch.zeros_like(labels), seeded())
    assert torch.equal(unknown, background)


def test_both_kidneys_share_a_curve() -> None:
    image, labels = phantom(16)
    image[:, 0][labels > 0] = 0.2
    labels = torch.where(labels == 1, 2, torch.where(labels == 4, 3, labels))
    kidneys = replace(only(curve=1, dark_air=1, **{"class": 1}), tied_labels=((2, 3),))
    result = kidneys(image, labels, seeded())
    tied = sum(
        bool((one[0][lab == 2].mean() - one[0][lab == 3].mean()).abs() < 0.02)
        for one, lab in zip(result, labels, strict=True)
    )
    assert tied >= 8


def test_curves_stay_in_range_and_bezier_curves_rise() -> None:
    random = BatchRandom(torch.zeros(1), seeded())
    curves = random_curves(equalised_axis(phantom(50)[0]), random)
    assert curves.min() >= -1e-5 and curves.max() <= 1 + 1e-5
    bezier = bezier_curves(50, torch.linspace(0, 1, 64), random)
    assert (bezier[:, 0].abs() < 1e-5).all() and (bezier[:, -1] - 1).abs().max() < 1e-5
    assert bezier.diff(dim=1).min() >= -0.5


def test_the_identity_curve_returns_the_image() -> None:
    image = torch.rand(3, 2, 16, 16) * 2 - 1
    identity = torch.linspace(0, 1, 64).expand(3, 2, 64)
    labels = torch.randint(0, 2, (3, 16, 16))
    torch.testing.assert_close(apply_curves(image, identity, labels), image, atol=1e-5, rtol=0)


def test_random_convolutions_keep_norm_and_do_not_mix_samples() -> None:
    image = torch.rand(4, 1, 32, 32) * 2 - 1
    first = random_convolutions(image, BatchRandom(image, seeded()))
    standard = (image - image.mean((1, 2, 3), keepdim=True)) / image.std((1, 2, 3), keepdim=True)
    torch.testing.assert_close(first.flatten(1).norm(dim=1), standard.flatten(1).norm(dim=1), rtol=1e-3, atol=1e-3)
    changed = image.clone()
    changed[0] = 0.5 * torch.rand(1, 32, 32)
    second = random_convolutions(changed, BatchRandom(changed, seeded()))
    torch.testing.assert_close(first[1:], second[1:])
    assert not torch.allclose(first[0], second[0])


def test_the_body_mask_finds_the_body() -> None:
    image, _ = phantom(1)
    mask = body_mask(image, -0.93)[0, 0]
    assert mask[0, 0] == 0 and mask[32, 32] == 1
    assert abs(float(mask.mean()) - float((image > -0.93).float().mean())) < 0.05
