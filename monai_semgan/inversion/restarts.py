"""Where an inversion starts from."""

from __future__ import annotations

import torch

from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.networks import InversionSegmenter
from monai_semgan.utils.device import autocast, halving_batches

JITTER = 0.25


def encoder_start(
    network: InversionSegmenter, target: torch.Tensor, batch_size: int, mixed_precision: bool = True
) -> torch.Tensor:
    """Encode slices `(D, C, H, W)`: latents `(D, L, C)`."""

    def encode(window: slice) -> torch.Tensor:
        with torch.no_grad(), autocast(target.device, mixed_precision):
            return network.encode(target[window]).float()

    return torch.cat(list(halving_batches(encode, target.shape[0], batch_size)))


def mean_start(network: InversionSegmenter, count: int) -> torch.Tensor:
    """Repeat the mean latent for so many slices, `(D, L, C)`."""
    generator = network.generator
    return generator.broadcast(generator.mean_latent[None]).repeat(count, 1, 1).float()


def varied_start(start: torch.Tensor, mean: torch.Tensor, prior: LatentPrior, number: int, seed: int) -> torch.Tensor:
    """Make another start near a given one: half way to the mean latent, plus noise that is the same for every slice.

    The noise does not depend on the number of slices, so neither does what becomes of one of them.

    Args:
        start: `(D, L, C)`.
        mean: `(D, L, C)` mean latent.
        prior: for the scale of the noise.
        number: which start, from 1; the first has no noise.
        seed: of the noise.

    Returns:
        `(D, L, C)`.
    """
    varied = mean + 0.5 * (start - mean)
    if number == 1:
        return varied
    noise = torch.randn(1, *start.shape[1:], generator=torch.Generator().manual_seed(seed + number))
    return varied + JITTER * prior.scale * noise.to(start.device)
