"""A tiny network and slices that its own generator has rendered, so that the right answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from monai_semgan.networks import InversionSegmenter, JointGenerator, Latent, LatentEncoder, build_student

SIZE, CLASSES, LATENT_DIM = 32, 3, 16
CHANNELS = {4: 16, 8: 16, 16: 16, 32: 16}


@dataclass
class Case:
    """Slices `(D, 1, H, W)`, the latents and labels behind them, and a start that is off."""

    network: InversionSegmenter
    slices: torch.Tensor
    latent: Latent
    label: torch.Tensor
    start: Latent


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


def assert_same_latents(first: Latent, second: Latent, atol: float = 1e-5) -> None:
    """Compare both parts."""
    for one, other in zip(first.parts, second.parts, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


@pytest.fixture(scope="session", params=[0, 16], ids=["w_plus", "spatial"])
def network(request: pytest.FixtureRequest) -> InversionSegmenter:
    """Both kinds: latents of W+ alone, and with a spatial part at 8 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        generator = JointGenerator(SIZE, LATENT_DIM, num_classes=CLASSES, channels=CHANNELS, mapping_layers=2)
        generator.update_mean_latent(512)
        make_labels_follow_from_images(generator)
        spatial_part = {"spatial_channels": request.param, "spatial_size": 8}
        encoder = LatentEncoder(1, generator.num_latents, LATENT_DIM, channels=(8, 8, 8, 8, 8), grid=2, **spatial_part)
        torch.nn.init.normal_(encoder.heads, std=0.05)
        if request.param:
            torch.nn.init.normal_(encoder.to_spatial.weight, std=0.05)
        student = build_student(1, CLASSES, channels=(8, 8, 8))
    return InversionSegmenter(generator, encoder, student)


@pytest.fixture
def case(network: InversionSegmenter) -> Case:
    with torch.no_grad():
        noise = torch.Generator().manual_seed(1)
        latent = network.encoder.start(network.generator, 5).clone()
        latent.w_plus.copy_(network.generator.styles(torch.randn(5, LATENT_DIM, generator=noise)))
        if latent.spatial is not None:
            latent.spatial.copy_(0.3 * torch.randn(latent.spatial.shape, generator=noise))
        sample = network.render(latent)
        start = latent.map(lambda part: part + 0.3 * part.std() * torch.randn(part.shape, generator=noise))
    return Case(network, sample.image, latent, sample.logits.argmax(1), start)
