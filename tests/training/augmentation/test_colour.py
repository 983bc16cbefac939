"""Colour randomisation changes light and camera, never anatomy or what a colour means."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.training.augmentation.colour import ColourRandomisation, about_grey, randomisation_for
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from monai_semgan.training.augmentation.degradation import Degradation
from tests.skin_lesions import lesion

SHARP = Degradation(0, 1, 0, 2, 0, 0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lesions(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N, 3, 96, 128) in [-1, 1], and masks."""
    pairs = [lesion(seed) for seed in range(count)]
    images = torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture, _ in pairs])
    return images.float() / 127.5 - 1, torch.stack([torch.from_numpy(mask) for _, mask in pairs]) > 0


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_output_is_finite_and_within_range(size: tuple[int, int]) -> None:
    image = torch.rand(6, 3, *size) * 2 - 1
    for seed in range(8):
        result = ColourRandomisation()(image, None, seeded(seed))
        assert result.shape == image.shape and result.dtype == image.dtype
        assert torch.isfinite(result).all() and result.min() >= -1 and result.max() <= 1


def test_a_lesion_stays_darker_than_its_skin_in_any_light() -> None:
    images, masks = lesions()
    whole = masks & (images.amin(1) > -0.97)
    skin = ~masks & (images.amin(1) > -0.9)
    for seed in range(10):
        changed = ColourRandomisation(clean_probability=0)(images, None, seeded(seed)).mean(1)
        for picture, dark, light in zip(changed, whole, skin, strict=True):
            assert picture[dark].mean() < picture[light].mean()


def test_every_picture_gets_another_appearance_and_the_same_seed_gives_the_same() -> None:
    image = lesions(1)[0].expand(6, -1, -1, -1)
    change = ColourRandomisation(clean_probability=0)
    found = change(image, None, seeded(1))
    apart = (found[:, None] - found[None]).abs().mean((2, 3, 4)) + torch.eye(6)
    assert apart.min() > 0.01
    assert torch.equal(found, change(image, None, seeded(1))) and not torch.equal(found, change(image, None, seeded(2)))


def test_black_around_a_picture_stays_black_and_grey_stays_grey_but_for_white_balance() -> None:
    change = ColourRandomisation(clean_probability=0, degradation=SHARP)
    assert (change(torch.full((8, 3, 32, 32), -1.0), None, seeded()) < -0.99).all()
    grey = ColourRandomisation(clean_probability=0, degradation=SHARP, balance=0.0)
    found = grey(torch.full((8, 3, 32, 32), -0.2), None, seeded())
    assert (found.amax(1) - found.amin(1)).max() < 1e-4


def test_a_turn_about_the_grey_axis_takes_red_to_green_after_a_third_of_the_circle() -> None:
    matrix = about_grey(torch.tensor([2 * torch.pi / 3]), torch.ones(1))[0]
    assert torch.allclose(matrix @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
    assert torch.allclose(matrix @ torch.ones(3), torch.ones(3), atol=1e-6)
    flat = about_grey(torch.zeros(1), torch.zeros(1))[0]
    assert torch.allclose(flat @ torch.tensor([0.9, 0.3, 0.0]), torch.full((3,), 0.4), atol=1e-6)


def test_clean_samples_are_left_alone() -> None:
    image = lesions(2)[0]
    assert torch.equal(ColourRandomisation(clean_probability=1)(image, None, seeded()), image)


def test_the_number_of_channels_decides_what_is_randomised() -> None:
    assert isinstance(randomisation_for(3), ColourRandomisation)
    grey = randomisation_for(1, ((2, 3),))
    assert isinstance(grey, ContrastRandomisation) and grey.tied_labels == ((2, 3),)
