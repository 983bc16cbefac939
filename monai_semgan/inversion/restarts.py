"""Where an inversion starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.networks import InversionSegmenter, LatentEncoder
from monai_semgan.utils.device import halving_batches

JITTER = 0.25


class EncoderFeatures:
    """Compute the encoder's feature maps of images, and remember the coarsest on request: latents follow from them.

    Args:
        encoder: of the network.
    """

    def __init__(self, encoder: LatentEncoder) -> None:
        self.encoder = encoder
        self._found: list[tuple[torch.Tensor, torch.Tensor]] | None = None

    def __call__(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Compute feature maps of `(n, C, H, W)`."""
        maps = self.encoder.features(image)
        if self._found is not None:
            self._found.append((image, maps[-1]))
        return maps

    @contextmanager
    def remembered(self) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
        """Gather all images that are looked at inside, with their coarsest maps."""
        self._found = []
        try:
            yield self._found
        finally:
            self._found = None


def encoder_start(
    network: InversionSegmenter,
    target: torch.Tensor,
    batch_size: int,
    features: torch.Tensor | None = None,
) -> torch.Tensor:
    """Encode slices `(D, C, H, W)`: latents `(D, L, C)`.

    Args:
        network: with the encoder.
        target: the slices.
        batch_size: slices encoded together.
        features: the encoder's coarsest maps of the slices, where they are known.
    """

    def encode(window: slice) -> torch.Tensor:
        known = None if features is None else features[window]
        with torch.no_grad():
            return network.encoder.encode(target[window], network.generator, known).float()

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
