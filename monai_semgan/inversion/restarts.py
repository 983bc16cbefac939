"""Where an inversion starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.networks import InversionSegmenter, Latent, LatentEncoder
from monai_semgan.networks.latent import joined
from monai_semgan.utils.device import halving_batches

JITTER = 0.25


class EncoderFeatures:
    """Compute the encoder's feature maps of images, and remember those that latents follow from on request.

    Args:
        encoder: of the network.
    """

    def __init__(self, encoder: LatentEncoder) -> None:
        self.encoder = encoder
        self._found: list[tuple[torch.Tensor, ...]] | None = None

    def __call__(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Compute feature maps of `(n, C, H, W)`."""
        maps = self.encoder.features(image)
        if self._found is not None:
            self._found.append((image, *maps[-2:]))
        return maps

    @contextmanager
    def remembered(self) -> Iterator[list[tuple[torch.Tensor, ...]]]:
        """Gather all images that are looked at inside, with their two coarsest maps."""
        self._found = []
        try:
            yield self._found
        finally:
            self._found = None


def encoder_start(
    network: InversionSegmenter,
    target: torch.Tensor,
    batch_size: int,
    features: Sequence[torch.Tensor] | None = None,
) -> Latent:
    """Encode slices `(D, C, H, W)`.

    Args:
        network: with the encoder.
        target: the slices.
        batch_size: slices encoded together.
        features: the encoder's two coarsest maps of the slices, where they are known.
    """

    def encode(window: slice) -> Latent:
        known = None if features is None else [maps[window] for maps in features]
        with torch.no_grad():
            return network.encoder.encode(target[window], network.generator, known).float()

    return joined(list(halving_batches(encode, target.shape[0], batch_size)))


def mean_start(network: InversionSegmenter, count: int) -> Latent:
    """Repeat the mean latent for so many slices."""
    return network.encoder.start(network.generator, count).clone().float()


def varied_start(start: Latent, mean: Latent, prior: LatentPrior, number: int, seed: int) -> Latent:
    """Make another start near a given one: half way to the mean latent, plus noise that is the same for every slice.

    The noise does not depend on the number of slices, so neither does what becomes of one of them.

    Args:
        start: of D slices.
        mean: mean latent of as many.
        prior: for the scale of the noise.
        number: which start, from 1; the first has no noise.
        seed: of the noise.
    """
    source = torch.Generator().manual_seed(seed + number)
    varied = []
    for own, middle, scale in zip(start.parts, mean.parts, (prior.scale, prior.spatial_scale), strict=False):
        part = middle + 0.5 * (own - middle)
        if number > 1 and scale is not None:
            part = part + JITTER * scale * torch.randn(1, *own.shape[1:], generator=source).to(own.device)
        varied.append(part)
    return Latent(*varied)
