"""Adversarial losses and gradient penalties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from monai_semgan.losses.adversarial import AdversarialLoss, sample_scores
from monai_semgan.losses.regularisers import PathLength, r1_penalty


@pytest.mark.parametrize("kind", ["logistic", "hinge"])
def test_losses_fall_when_the_scores_get_better(kind: str) -> None:
    loss = AdversarialLoss(kind)
    good, bad = torch.full((4,), 2.0), torch.full((4,), -2.0)
    assert loss.discriminator(good, bad) < loss.discriminator(bad, good)
    assert loss.generator(good) < loss.generator(bad)


def test_the_logistic_loss_of_an_undecided_discriminator_is_two_log_two() -> None:
    zeros = torch.zeros(3)
    assert AdversarialLoss().discriminator(zeros, zeros).item() == pytest.approx(2 * math.log(2))
    assert AdversarialLoss().generator(zeros).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("kind", ["logistic", "hinge"])
def test_several_scales_count_as_much_as_one(kind: str) -> None:
    one = torch.randn(4, 1, 6, 6)
    loss = AdversarialLoss(kind)
    torch.testing.assert_close(loss.generator([one, one, one]), loss.generator(one))
    torch.testing.assert_close(loss.discriminator([one, one], [-one, -one]), loss.discriminator(one, -one))


def test_extreme_scores_in_half_precision_stay_finite() -> None:
    scores = torch.tensor([-1e4, 1e4], dtype=torch.bfloat16)
    assert torch.isfinite(AdversarialLoss().discriminator(scores, scores))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="logistic"):
        AdversarialLoss("wasserstein")  # type: ignore[arg-type]


def test_scores_of_patches_and_scales_become_one_per_sample() -> None:
    scores = sample_scores([torch.ones(3, 1, 4, 4), torch.zeros(3, 1, 2, 2)])
    assert torch.equal(scores, torch.full((3,), 0.5))


def test_r1_of_a_quadratic_is_its_squared_gradient() -> None:
    inputs = torch.randn(5, 1, 4, 4, requires_grad=True)
    penalty = r1_penalty(inputs.square().flatten(1).sum(dim=1), inputs)
    torch.testing.assert_close(penalty, 4 * inputs.detach().square().flatten(1).sum(dim=1))


def test_r1_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    inputs = torch.randn(3, 1, 3, 3, dtype=torch.double, requires_grad=True)
    penalty = r1_penalty(net(inputs)[:, 0], inputs)
    step, numeric = 1e-5, torch.zeros(3, dtype=torch.double)
    for i in range(9):
        shift = torch.zeros(9, dtype=torch.double)
        shift[i] = step
        shift = shift.view(1, 1, 3, 3)
        with torch.no_grad():
            numeric += ((net(inputs + shift) - net(inputs - shift))[:, 0] / (2 * step)).square()
    torch.testing.assert_close(penalty.double(), numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("patches", [False, True])
def test_r1_does_not_depend_on_the_batch_size(patches: bool) -> None:
    """On the mean score of a batch of N the penalty would be N^2 times too weak."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3))

    def penalty(batch: torch.Tensor) -> torch.Tensor:
        batch = batch.clone().requires_grad_()
        scores = net(batch)
        return r1_penalty([scores, scores[:, :, ::2]] if patches else scores, batch)

    images = torch.randn(8, 1, 9, 9)
    together = penalty(images)
    alone = torch.cat([penalty(image[None]) for image in images])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(penalty(images.repeat(4, 1, 1, 1)).mean(), together.mean())

    leaf = images.clone().requires_grad_()
    (defect,) = torch.autograd.grad(net(leaf).mean(), leaf)
    if not patches:
        torch.testing.assert_close(together.mean(), defect.square().flatten(1).sum(dim=1).mean() * 8**2)


def test_r1_refuses_a_mean_over_the_batch() -> None:
    inputs = torch.randn(4, 1, 4, 4, requires_grad=True)
    with pytest.raises(ValueError, match="per sample"):
        r1_penalty(inputs.mean(), inputs)


def test_r1_adds_the_gradients_of_image_and_label_and_trains_the_discriminator() -> None:
    image = torch.randn(3, 1, 4, 4, requires_grad=True)
    label = torch.rand(3, 2, 4, 4, requires_grad=True)
    weight = torch.ones((), requires_grad=True)
    scores = weight * (image.sum((1, 2, 3)) + 2 * label.sum((1, 2, 3)))
    penalty = r1_penalty(scores, [image, label])
    torch.testing.assert_close(penalty, torch.full((3,), 16.0 + 4 * 32.0))
    penalty.mean().backward()
    assert weight.grad is not None and weight.grad.item() == pytest.approx(2 * 144.0)


def test_path_length_of_a_linear_map_settles_at_its_norm() -> None:
    torch.manual_seed(0)
    path = PathLength(decay=0.1)
    basis = torch.randn(6, 64, requires_grad=True)
    for _ in range(200):
        latents = torch.randn(16, 2, 3, requires_grad=True)
        penalty = path(latents.flatten(1).matmul(basis).view(16, 1, 8, 8), latents)
    expected = (basis.square().sum() / 2 / 64).sqrt()
    assert path.mean_length.item() == pytest.approx(expected.item(), rel=0.1)
    assert penalty.shape == (16,) and penalty.requires_grad  # it trains the generator


def test_path_length_remembers_its_mean_in_the_checkpoint() -> None:
    path = PathLength()
    path.mean_length.fill_(3.0)
    resumed = PathLength()
    resumed.load_state_dict(path.state_dict())
    assert resumed.mean_length == 3.0
