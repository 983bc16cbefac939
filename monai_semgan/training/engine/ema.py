"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Exponential moving average of a network's parameters; its buffers are copied.

    The half-life is counted in images and grows with the images seen (Karras et al. 2020, "Analyzing and improving
    the image quality of StyleGAN"), so that the average of a short run does not remember the initial weights.

    Args:
        network: the trained network; the average starts as its copy.
        half_life: images after which an old weight counts half.
        ramp: half-life as a share of the images seen, an upper bound early in the run.
    """

    def __init__(self, network: nn.Module, half_life: float = 10_000.0, ramp: float = 0.1) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life
        self.ramp = ramp

    def decay(self, batch: int, images_seen: int) -> float:
        """Share of the old average that survives a step over `batch` images."""
        half_life = min(self.half_life, self.ramp * images_seen)
        return 0.5 ** (batch / max(half_life, 1e-8))

    @torch.no_grad()
    def update(self, network: nn.Module, batch: int, images_seen: int) -> None:
        """Take in the network's weights after a step over `batch` images."""
        averages: list[torch.Tensor] = list(self.network.parameters())
        weights: list[torch.Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - self.decay(batch, images_seen))
        buffers = list(network.buffers())
        if buffers:
            torch._foreach_copy_(list(self.network.buffers()), buffers)
