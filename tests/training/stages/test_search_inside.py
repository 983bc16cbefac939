"""A short search finds latents that explain an input of any contrast, and counts as a constant."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.inversion.optimiser import constant
from monai_semgan.networks import Latent
from monai_semgan.training.stages.search_inside import mapped, search_offset
from tests.training.stages.encoder_phantoms import tiny_generator


@pytest.mark.parametrize("name", ["same", "negative", "folded"])
def test_a_map_of_grey_values_explains_another_contrast(name: str) -> None:
    image = tiny_generator()(torch.randn(3, 16)).image.detach().clamp(-1, 1)
    source = {"same": image, "negative": -image, "folded": image.abs() - 0.5}[name]
    assert (mapped(image, source) - source).abs().mean() < 0.02


def test_every_image_has_a_map_of_its_own() -> None:
    image = tiny_generator()(torch.randn(4, 16)).image.detach().clamp(-1, 1)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None, None, None]
    together = mapped(image, signs * image)
    alone = torch.cat([mapped(image[i : i + 1], (signs * image)[i : i + 1]) for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-4) and (together - signs * image).abs().mean() < 0.02


def test_a_map_lets_gradients_through_to_the_image() -> None:
    image = tiny_generator()(torch.randn(2, 16)).image.detach().clamp(-0.99, 0.99).requires_grad_()
    mapped(image, -image.detach()).sum().backward()
    assert image.grad is not None and float(image.grad.mean()) < -0.8, "the negative turns the gradient round"


@pytest.mark.parametrize("spatial", [False, True])
def test_a_search_comes_closer_to_the_negative_of_an_image(spatial: bool) -> None:
    generator, objective = tiny_generator(), L1FeatureObjective()
    target = generator(torch.randn(2, 16, generator=torch.Generator().manual_seed(3))).image.detach().clamp(-1, 1)
    w_plus = generator.broadcast(generator.mean_latent[None]).expand(2, -1, -1).clone().requires_grad_()
    start = Latent(w_plus, torch.zeros(2, 8, 16, 16, requires_grad=True) if spatial else None)

    def render(latent: Latent) -> torch.Tensor:
        return generator.synthesis(latent.w_plus, latent.spatial).image

    with constant(generator):
        offset = search_offset(render, start, -target, objective, steps=20, rate=0.05)
    assert not any(part.requires_grad for part in offset.parts) and len(offset.parts) == 1 + spatial
    assert all(part.grad is None for part in (*start.parts, *generator.parameters()))
    errors = []
    for latent in (start, Latent(*(a + b for a, b in zip(start.parts, offset.parts, strict=True)))):
        errors.append((mapped(render(latent), -target) + target).abs().mean().item())
    assert errors[1] < 0.7 * errors[0]


def test_weights_want_their_gradients_again_after_a_search_that_fails() -> None:
    generator = tiny_generator()
    generator.constant.requires_grad_(False)
    wanted = {name for name, parameter in generator.named_parameters() if parameter.requires_grad}
    with pytest.raises(KeyError), constant(generator):
        assert not any(parameter.requires_grad for parameter in generator.parameters())
        raise KeyError
    assert {name for name, parameter in generator.named_parameters() if parameter.requires_grad} == wanted
