"""The encoder finds codes and the segmenter joins the networks."""

from __future__ import annotations

import pytest
import torch

from monai_semgan.networks import InversionSegmenter, JointGenerator, LatentEncoder, build_student

TINY = {4: 16, 8: 16, 16: 12, 32: 8, 64: 8}


def generator() -> JointGenerator:
    torch.manual_seed(0)
    made = JointGenerator(size=32, latent_dim=16, channels=TINY, mapping_layers=2)
    made.update_mean_latent(64)
    return made


def encoder(**options: object) -> LatentEncoder:
    return LatentEncoder(1, 8, 16, channels=(8, 8, 16, 16, 16), grid=2, **options)  # type: ignore[arg-type]


def test_an_untrained_encoder_starts_from_the_mean_latent() -> None:
    g = generator()
    latents = encoder().encode(torch.randn(3, 1, 32, 32), g)
    assert torch.allclose(latents.w_plus, g.mean_latent.expand(3, 8, 16)) and latents.spatial is None


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 32), (100, 80), (256, 256)])
@pytest.mark.parametrize("passes", [1, 3])
def test_any_image_size_gives_one_code_per_image(height: int, width: int, passes: int) -> None:
    latents = encoder(refinement_passes=passes).encode(torch.randn(2, 1, height, width), generator())
    assert latents.w_plus.shape == (2, 8, 16)


def test_group_norm_makes_an_image_independent_of_its_batch_in_training_mode() -> None:
    torch.manual_seed(0)
    e, g = encoder().train(), generator()
    torch.nn.init.normal_(e.heads)
    images = torch.randn(4, 1, 32, 32)
    assert torch.allclose(e.encode(images, g).w_plus[2], e.encode(images[2:3], g).w_plus[0], atol=1e-5)


def test_a_few_steps_teach_the_encoder_to_tell_two_codes_apart() -> None:
    g = generator()
    target = g.styles(torch.randn(8, 16)).detach()
    images = g.synthesis(target).image.detach()
    e = encoder()
    optimizer = torch.optim.Adam(e.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = (e.encode(images, g).w_plus - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("mode", ["preview", "encoder"])
def test_the_segmenter_turns_an_image_into_logits(mode: str) -> None:
    segmenter = InversionSegmenter(generator(), encoder(), build_student(1, 5, (4, 4, 8, 8)), forward_mode=mode)
    assert segmenter(torch.randn(2, 1, 64, 64)).shape == (2, 5, 64, 64)


def test_the_segmenter_refuses_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="preview or encoder"):
        InversionSegmenter(generator(), encoder(), torch.nn.Identity(), forward_mode="magic")


@pytest.mark.parametrize("size", [32, 48, 128])
@pytest.mark.parametrize("passes", [1, 2])
def test_the_spatial_part_fits_the_trunk_whatever_the_size_of_the_image(size: int, passes: int) -> None:
    g = generator()
    e = encoder(refinement_passes=passes, spatial_channels=g.trunk_channels(8), spatial_size=8)
    torch.nn.init.normal_(e.to_spatial.weight)
    latent = e.encode(torch.randn(2, 1, size, size), g)
    assert latent.spatial is not None and latent.spatial.shape == (2, g.trunk_channels(8), 8, 8)
    assert g.synthesis(latent.w_plus, latent.spatial).image.shape == (2, 1, 32, 32)


def test_an_encoder_that_has_learnt_nothing_leaves_the_trunk_alone() -> None:
    g = generator()
    latent = encoder(spatial_channels=g.trunk_channels(8), spatial_size=8).encode(torch.randn(2, 1, 32, 32), g)
    assert latent.spatial is not None and not latent.spatial.any()
