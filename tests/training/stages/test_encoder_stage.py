"""The encoder learns to find codes, with and without a smaller rendering and refinement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import JointGenerator, LatentEncoder
from monai_semgan.networks.weights import load_weights, part, save_weights, with_prefix
from tests.training.phantoms import TINY, train

ENCODER: dict[str, Any] = {**TINY, "channels": (8, 8, 16, 16), "pool_chunk": 16, "pool_chunks": 4, "batch_size": 8}


def tiny_generator() -> JointGenerator:
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 3, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    generator.update_mean_latent(512)
    return generator


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_weights(path, with_prefix(tiny_generator().state_dict(), "generator"), half=False)
    return path


@pytest.mark.parametrize("extra", [{}, {"render_size": 16}, {"refinement_passes": 2}])
def test_the_encoder_finds_codes_that_render_the_image(
    datalist: Path, tmp_path: Path, generator_file: Path, extra: dict[str, Any]
) -> None:
    settings = {**ENCODER, **extra, "generated_fraction": 1.0, "contrast_probability": 0.2, "mixing": 0.0}
    (result,) = train(
        "encoder", datalist, tmp_path, steps=120, init=generator_file, ema_images=100, learning_rate=3e-3, **settings
    )
    assert result.finished and {"dice", "l1"} <= result.metrics.keys()
    generator = tiny_generator().eval()
    encoder = LatentEncoder(1, 8, 16, (8, 8, 16, 16), refinement_passes=extra.get("refinement_passes", 1)).eval()
    encoder.load_state_dict(part(load_weights(tmp_path / "model.pt"), "encoder"))
    with torch.no_grad():
        image = generator(torch.randn(32, 16, generator=torch.Generator().manual_seed(1)), truncation=0.8).image
        image = image.clamp(-1, 1)
        found = generator.synthesis(encoder.encode(image, generator)).image
        mean = generator.synthesis(generator.broadcast(generator.mean_latent[None])).image
    assert (found - image).abs().mean() < 0.8 * (mean - image).abs().mean()


def test_the_encoder_needs_a_generator(datalist: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="needs a generator"):
        train("encoder", datalist, tmp_path, steps=1, **ENCODER)


def test_a_generator_for_smaller_pictures_is_refused(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    with pytest.raises(SemganError, match="makes 32 pixels, not 64"):
        train("encoder", datalist, tmp_path, steps=1, init=generator_file, **{**ENCODER, "size": 64})
