"""How far the spatial part of latents spreads, which tells a search what is a small step and what a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from monai_semgan.networks import JointGenerator, LatentEncoder
from monai_semgan.utils.device import autocast

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

SLICES = 32
"""Slices that are looked at, at most, evenly spread over a set."""

BATCH = 16
"""Slices encoded at a time."""

SMALLEST = 1e-3
"""Least spread of a channel, so that one that an encoder does not use divides nothing by zero."""


@torch.no_grad()
def spatial_spread(
    encoder: LatentEncoder,
    generator: JointGenerator,
    slices: SliceSet,
    device: torch.device,
    mixed_precision: bool = True,
) -> torch.Tensor:
    """Measure the standard deviation of every channel of the spatial part over slices and pixels.

    Args:
        encoder: with a spatial part.
        generator: whose latents it finds.
        slices: to encode; the same ones are chosen each time.
        device: of the networks.
        mixed_precision: encode in bfloat16 where the device is fast with it.

    Returns:
        `(encoder.spatial_channels,)`, not below 0.001.
    """
    chosen = torch.linspace(0, len(slices) - 1, min(SLICES, len(slices))).long()
    sums = torch.zeros(2, encoder.spatial_channels, dtype=torch.double, device=device)
    count = 0
    for part in chosen.split(BATCH):
        with autocast(device, mixed_precision):
            spatial = encoder.encode(slices.batch(part, device)[0], generator).spatial
        assert spatial is not None
        values = spatial.double().movedim(1, 0).flatten(1)
        sums += torch.stack([values.sum(1), values.square().sum(1)])
        count += values.shape[1]
    mean, square = sums / count
    return (square - mean.square()).clamp_min(0.0).sqrt().clamp_min(SMALLEST).float()
