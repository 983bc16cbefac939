"""A tiny network and slices that its own generator has rendered, so that the right answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from monai_semgan.networks import InversionSegmenter, JointGenerator, LatentEncoder, build_student

SIZE, CLASSES, LATENT_DIM = 32, 3, 16
CHANNELS = {4: 16, 8: 16, 16: 16, 32: 16}


@dataclass
class Case:
    """Slices `(D, 1, H, W)`, the latents and labels behind them, and a start that is off."""

    network: InversionSegmenter
    slices: torch.Tensor
    latent: torch.Tensor
    label: torch.Tensor
    start: torch.Tensor


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_labels_follow_from_images(generator: JointGenerator) -> None:
    """Class 1 is bright, class 2 dark, so that who finds the image finds the label."""
    for block in generator.blocks:
        block.to_label.affine.load_state_dict(block.to_image.affine.state_dict())
        weight = block.to_image.weight.data
        block.to_label.weight.data.copy_(torch.cat([0 * weight, 3 * weight, -3 * weight]))
    generator.label_bias.data[1:] = -1.0


@pytest.fixture(scope="session")
def network() -> InversionSegmenter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        generator = JointGenerator(SIZE, LATENT_DIM, num_classes=CLASSES, channels=CHANNELS, mapping_layers=2)
        generator.update_mean_latent(512)
        make_labels_follow_from_images(generator)
        encoder = LatentEncoder(1, generator.num_latents, LATENT_DIM, channels=(8, 8, 8, 8, 8), grid=2)
        torch.nn.init.normal_(encoder.heads, std=0.05)
        student = build_student(1, CLASSES, channels=(8, 8, 8))
    return InversionSegmenter(generator, encoder, student)


@pytest.fixture
def case(network: InversionSegmenter) -> Case:
    with torch.no_grad():
        noise = torch.Generator().manual_seed(1)
        latent = network.generator.styles(torch.randn(5, LATENT_DIM, generator=noise)).clone()
        sample = network.generator.synthesis(latent)
        start = latent + 0.3 * latent.std() * torch.randn(latent.shape, generator=noise)
    return Case(network, sample.image, latent, sample.logits.argmax(1), start)
