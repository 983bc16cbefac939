"""What a scanner or camera takes away from an image: sharpness, resolution, and a clean signal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_semgan.training.augmentation.random_draws import BatchRandom, per_sample


@dataclass(frozen=True)
class Degradation:
    """Blur, coarsen and add noise, each to some samples of a batch.

    Args:
        blur_probability: chance of a Gaussian blur.
        blur_sigma: largest blur in pixels.
        resolution_probability: chance of a loss of resolution.
        resolution_factor: largest loss.
        noise_probability: chance of noise.
        noise_std: largest standard deviation of the noise, on the scale of [0, 1].
        rician_probability: chance that noise is that of magnitudes, as in MRI, which lifts the black background.
    """

    blur_probability: float
    blur_sigma: float
    resolution_probability: float
    resolution_factor: float
    noise_probability: float
    noise_std: float
    rician_probability: float = 0.0

    def __call__(self, image: Tensor, random: BatchRandom) -> Tensor:
        """Degrade images `(N, C, H, W)` in [0, 1]; values may lie outside afterwards."""
        size = (image.shape[2], image.shape[3])
        rows = random.chance(self.blur_probability).nonzero().flatten()
        if len(rows):
            image = image.index_copy(0, rows, blur(image[rows], random.uniform(0.3, self.blur_sigma, len(rows))))
        rows = random.chance(self.resolution_probability).nonzero().flatten()
        if len(rows):
            factors = random.uniform(1.2, self.resolution_factor, 2).tolist()
            coarse = [max(4, round(side / factor)) for side, factor in zip(size, factors, strict=True)]
            small = F.interpolate(image[rows], size=coarse, mode="bilinear", antialias=True)
            image = image.index_copy(0, rows, F.interpolate(small, size=size, mode="bilinear"))
        rows = random.chance(self.noise_probability).nonzero().flatten()
        if len(rows):
            image = image.index_copy(0, rows, self._noisy(image[rows], random))
        return image

    def _noisy(self, image: Tensor, random: BatchRandom) -> Tensor:
        std = per_sample(random.uniform(0.0, self.noise_std, len(image)))
        noisy = image + random.normal(*image.shape) * std
        if self.rician_probability <= 0:
            return noisy
        imaginary = random.normal(*noisy.shape) * std  # the magnitude of a complex signal
        rician = per_sample(random.chance(self.rician_probability, len(image)))
        return torch.where(rician, torch.sqrt(noisy.square() + imaginary.square()), noisy)


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one width in pixels per sample, images `(N, C, H, W)`, widths `(N,)`."""
    count, channels = image.shape[:2]
    radius = max(1, int(2.5 * float(sigma.max()) + 0.5))
    offset = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-0.5 * (offset / sigma[:, None]).square())
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None, None]
    padded = F.pad(image, [radius] * 4, mode="replicate").flatten(0, 1)[None]
    rows = F.conv2d(padded, kernel, groups=count * channels)
    return F.conv2d(rows, kernel.transpose(2, 3), groups=count * channels).view_as(image)
