"""Random draws that the batched augmentations share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class BatchRandom:
    """Random numbers for one batch, reproducible from one `torch.Generator` whatever the device.

    A generator on another device than the data only seeds a second one on the data's device, so that no
    image-sized noise crosses the bus.

    Args:
        like: a tensor of the batch `(N, ...)`; gives batch size and device.
        generator: source of randomness; None uses torch's global one.
    """

    def __init__(self, like: Tensor, generator: torch.Generator | None = None) -> None:
        self.size = like.shape[0]
        self.device = like.device
        if generator is None or generator.device != like.device:
            seed = torch.randint(2**62, (), generator=generator, device=generator.device if generator else "cpu")
            generator = torch.Generator(like.device).manual_seed(int(seed))
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform numbers in `[low, high)`, of `shape`, or `(N,)` without one."""
        unit = torch.rand(shape or (self.size,), generator=self.generator, device=self.device)
        return unit.mul_(high - low).add_(low)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of `shape`."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Booleans that are true with `probability`, of `shape`, or `(N,)` without one."""
        return torch.rand(shape or (self.size,), generator=self.generator, device=self.device) < probability

    def integer(self, low: int, high: int) -> int:
        """One integer in `[low, high]`."""
        return int(torch.randint(low, high + 1, (), generator=self.generator, device=self.device))

    def smooth_field(self, count: int, channels: int, size: tuple[int, int], knots: int) -> Tensor:
        """Smooth random fields: normal numbers on a `knots` x `knots` grid, enlarged bicubically.

        Returns:
            Fields `(count, channels, H, W)`.
        """
        coarse = self.normal(count, channels, knots, knots)
        return F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def per_sample(values: Tensor) -> Tensor:
    """Shape `(N,)` to `(N, 1, 1, 1)`, to be broadcast over images."""
    return values.reshape(-1, 1, 1, 1)
