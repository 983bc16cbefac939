"""What the training of an encoder begins with: the encoder, what compares renderings, and how far latents spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.networks import JointGenerator, LatentEncoder
from monai_semgan.training.image_quality import FrozenFeatures
from monai_semgan.training.pretrained import build_image_discriminator

if TYPE_CHECKING:
    from monai_semgan.training.stages.encoder_settings import EncoderSettings
    from monai_semgan.training.stages.stage import StageContext


def new_encoder(settings: EncoderSettings, generator: JointGenerator) -> LatentEncoder:
    """Make an encoder of a generator's latents; its weights come from PyTorch's global source."""
    size = min(settings.spatial_size, generator.size // 2)
    return LatentEncoder(
        generator.image_channels,
        generator.num_latents,
        generator.latent_dim,
        tuple(settings.channels),
        settings.grid,
        refinement_passes=settings.refinement_passes,
        spatial_channels=generator.trunk_channels(size) if size > 0 else 0,
        spatial_size=size,
    )


def latent_spread(generator: JointGenerator) -> torch.Tensor:
    """Standard deviation of w `(D,)`."""
    z = torch.randn(4096, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return generator.mapping(z.to(generator.mean_latent.device)).std(0).clamp_min(1e-3)


def compared_features(context: StageContext, render_size: int, image_channels: int) -> Callable[[torch.Tensor], Any]:
    """Features to compare: the image discriminator's where there is one for this size, else frozen random ones.

    Args:
        context: initial weights, size of the slices, and device.
        render_size: side of the images that are compared, in pixels.
        image_channels: of these images.
    """
    discriminator = build_image_discriminator(context.initial, context.size)
    if discriminator is not None and render_size == context.size:
        return discriminator.to(context.device).features
    return FrozenFeatures(image_channels).to(context.device)
