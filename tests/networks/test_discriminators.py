"""Discriminators score images and pairs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_semgan.networks import ImageDiscriminator, JointDiscriminator
from monai_semgan.networks.layers import scaled_leaky_relu

TINY = {4: 8, 8: 8, 16: 8, 32: 4, 64: 4}


@pytest.mark.parametrize("batch", [1, 3, 4, 6])
def test_image_discriminator_scores_any_batch(batch: int) -> None:
    discriminator = ImageDiscriminator(32, 1, TINY)
    assert discriminator(torch.randn(batch, 1, 32, 32)).shape == (batch,)


def test_image_discriminator_offers_features_of_every_scale() -> None:
    maps = ImageDiscriminator(32, 3, TINY).features(torch.randn(2, 3, 32, 32))
    assert [m.shape[-1] for m in maps] == [16, 8, 4]


def test_image_discriminator_allows_a_second_derivative() -> None:
    discriminator = ImageDiscriminator(32, 1, TINY)
    image = torch.randn(2, 1, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(image).sum(), image, create_graph=True)
    gradient.square().sum().backward()
    assert discriminator.from_image.weight.grad is not None


def test_gains_within_weights_change_no_feature() -> None:
    torch.manual_seed(0)
    discriminator = ImageDiscriminator(32, 3, TINY)
    torch.nn.init.normal_(discriminator.from_image.bias)
    torch.nn.init.normal_(discriminator.blocks[0].conv1.bias)
    image = torch.randn(2, 3, 32, 32)
    x = scaled_leaky_relu(discriminator.from_image(image))
    for block, seen in zip(discriminator.blocks, discriminator.features(image), strict=True):
        residual = F.avg_pool2d(scaled_leaky_relu(block.conv0(x)), 2)
        x = (block.skip(F.avg_pool2d(x, 2)) + scaled_leaky_relu(block.conv1(residual))) / 2**0.5
        torch.testing.assert_close(seen, x)


def test_image_discriminator_keeps_the_channels_last_which_processors_pool_fast() -> None:
    for image_channels in (1, 3):
        discriminator = ImageDiscriminator(32, image_channels, TINY)
        for features in discriminator.features(torch.randn(2, image_channels, 32, 32)):
            assert features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()


def test_joint_discriminator_scores_patches_at_three_scales() -> None:
    discriminator = JointDiscriminator(1, 5, channels=8)
    probabilities = torch.softmax(torch.randn(2, 5, 64, 64), 1)
    scores = discriminator(torch.randn(2, 1, 64, 64), probabilities)
    assert len(scores) == 3
    assert all(s.shape[:2] == (2, 1) for s in scores)
    assert scores[0].shape[-1] > scores[1].shape[-1] > scores[2].shape[-1]


def test_joint_discriminator_sees_both_image_and_label() -> None:
    torch.manual_seed(0)
    discriminator = JointDiscriminator(1, 5, channels=8).eval()
    image = torch.randn(1, 1, 64, 64, requires_grad=True)
    probabilities = torch.softmax(torch.randn(1, 5, 64, 64), 1).requires_grad_()
    sum(s.sum() for s in discriminator(image, probabilities)).backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert probabilities.grad is not None and probabilities.grad.abs().sum() > 0
