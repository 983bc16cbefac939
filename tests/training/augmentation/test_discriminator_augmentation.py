"""Discriminator augmentation is the same for image and label and can be differentiated twice."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_semgan.training.augmentation.discriminator_augmentation import (
    AdaptiveStrength,
    DiscriminatorAugmentation,
    linear_grid_sample,
)


def pairs(count: int = 4, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.zeros(count, size, size, dtype=torch.long)
    labels[:, 8:18, 6:20] = 1
    labels[:, 20:27, 14:28] = 2
    probabilities = F.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    return labels[:, None].float() - 1.0, probabilities


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


geometry_only = DiscriminatorAugmentation(brightness=0.0, contrast=1.0)


def test_image_and_label_move_together() -> None:
    image, probabilities = pairs(16)
    moved, labels = geometry_only(image, probabilities, 1.0, seeded())
    expected = labels[:, 1] + 2 * labels[:, 2] - 1.0
    torch.testing.assert_close(moved[:, 0], expected, atol=1e-4, rtol=0)
    assert (moved - image).abs().amax(dim=(1, 2, 3)).min() > 0.3


def test_probabilities_stay_probabilities() -> None:
    image, probabilities = pairs(16)
    _, labels = DiscriminatorAugmentation()(image, probabilities, 1.0, seeded())
    assert labels.min() > -1e-5
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(16, 32, 32), atol=1e-5, rtol=0)


def test_outside_is_air_and_background() -> None:
    shifted = DiscriminatorAugmentation(rotation=0, scale=1.0, shift=0.4, brightness=0, contrast=1.0, cutout=0)
    image, probabilities = torch.ones(8, 1, 32, 32), torch.zeros(8, 3, 32, 32)
    probabilities[:, 2] = 1.0
    moved, labels = shifted(image, probabilities, 1.0, seeded())
    air = moved[:, 0] == -1.0
    assert air.any() and not air.all()
    assert torch.equal(labels[:, 0] == 1.0, air)


def test_cutout_removes_the_same_square_from_both() -> None:
    hole = DiscriminatorAugmentation(rotation=0, scale=1.0, shift=0, brightness=0, contrast=1.0, cutout=0.5)
    image, probabilities = torch.ones(8, 1, 32, 32), torch.zeros(8, 2, 32, 32)
    probabilities[:, 1] = 1.0
    cut, labels = hole(image, probabilities, 1.0, seeded())
    assert torch.equal(cut[:, 0] < 0, labels[:, 0] > 0.5)
    assert (cut[:, 0] < 0).flatten(1).any(dim=1).all()


def test_strength_zero_returns_the_input_and_strength_sets_the_share_of_changed_samples() -> None:
    image, probabilities = pairs(200)
    same, labels = DiscriminatorAugmentation()(image, probabilities, 0.0)
    assert same is image and labels is probabilities
    only_bright = DiscriminatorAugmentation(rotation=0, scale=1.0, shift=0, contrast=1.0, cutout=0)
    changed, _ = only_bright(image, probabilities, 0.3, seeded())
    share = ((changed - image).abs().amax(dim=(1, 2, 3)) > 1e-4).float().mean()
    assert 0.2 < share < 0.4


def test_greys_change_in_the_image_only() -> None:
    image, probabilities = pairs()
    grey = DiscriminatorAugmentation(rotation=0, scale=1.0, shift=0, cutout=0)
    changed, labels = grey(image, probabilities, 1.0, seeded())
    torch.testing.assert_close(labels, probabilities, atol=1e-4, rtol=0)
    assert not torch.allclose(changed, image, atol=1e-2)


def test_the_same_seed_gives_the_same_result() -> None:
    image, probabilities = pairs()
    first, second = (DiscriminatorAugmentation()(image, probabilities, 1.0, seeded(4)) for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_r1_through_the_augmentation_has_gradients(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    torch.manual_seed(0)
    image, probabilities = (x.to(device).requires_grad_() for x in pairs())
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.Tanh(), torch.nn.Conv2d(8, 1, 3)).to(device)
    augmented = DiscriminatorAugmentation()(image, probabilities, 1.0, seeded())
    scores = net(torch.cat(augmented, dim=1)).mean(dim=(1, 2, 3))
    gradients = torch.autograd.grad(scores.sum(), [image, probabilities], create_graph=True)
    sum(g.square().sum() for g in gradients).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net[:2].parameters())
    assert net[0].weight.grad.abs().sum() > 0


def test_sampling_equals_torch_and_its_first_two_derivatives_are_right() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 2, 5, 6, dtype=torch.double, requires_grad=True)
    grid = torch.rand(2, 4, 3, 2, dtype=torch.double) * 2.6 - 1.3
    torch.testing.assert_close(linear_grid_sample(image, grid), F.grid_sample(image, grid, align_corners=False))
    assert torch.autograd.gradcheck(lambda x: linear_grid_sample(x, grid), image)
    assert torch.autograd.gradgradcheck(lambda x: linear_grid_sample(x, grid).pow(3), image)


def test_adaptive_strength_rises_when_the_discriminator_overfits_and_falls_otherwise() -> None:
    adaptive = AdaptiveStrength(target=0.6, images_to_full=100, maximum=0.5)
    for _ in range(4):
        adaptive.update(torch.ones(10))
    assert adaptive.strength == pytest.approx(0.4)
    for _ in range(4):
        adaptive.update(torch.ones(10))
    assert adaptive.strength == 0.5
    adaptive.update(torch.tensor([1.0, -1.0] * 5))
    assert adaptive.strength == pytest.approx(0.4)
    resumed = AdaptiveStrength()
    resumed.load_state_dict(adaptive.state_dict())
    assert resumed.strength == adaptive.strength
