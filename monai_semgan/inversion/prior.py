"""Which latents are plausible: statistics of the latent space where it is nearly Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from monai_semgan.networks import JointGenerator

SLOPE = 0.2


class LatentPrior:
    """Hold mean and covariance of w after undoing the mapping network's last leaky ReLU.

    The inverse activation removes the skew of w, principal components whiten it: Menon et al., "PULSE" (CVPR 2020);
    Zhu et al., "Improved StyleGAN Embedding: Where are the Good Latents?" (2020).

    Args:
        samples: w `(M, C)` of random z.
        floor: smallest variance of a component, relative to the mean variance, so that directions in which the
            mapping network hardly moves do not dominate the distance.

    Attributes:
        scale: `(C,)` standard deviation of w.
    """

    def __init__(self, samples: torch.Tensor, floor: float = 0.01) -> None:
        self.scale = samples.float().std(0)
        straight = deskew(samples.float())
        self.mean = straight.mean(0)
        centred = (straight - self.mean).double()
        variances, axes = torch.linalg.eigh(centred.T @ centred / max(1, samples.shape[0] - 1))
        variances = variances.clamp_min(floor * float(variances.mean()) + 1e-12)
        self.whitening = (axes * variances.rsqrt()).float()

    @classmethod
    def from_generator(cls, generator: JointGenerator, samples: int = 8192, seed: int = 0) -> LatentPrior:
        """Take the statistics from a generator's mapping network; the same seed gives the same statistics."""
        noise = torch.randn(samples, generator.latent_dim, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return cls(generator.mapping(noise.to(generator.mean_latent.device)))

    def whiten(self, latents: torch.Tensor) -> torch.Tensor:
        """Map w `(..., C)` to coordinates in which typical latents are unit normal."""
        return (deskew(latents) - self.mean) @ self.whitening

    def length(self, whitened: torch.Tensor) -> torch.Tensor:
        """Measure how unusual W+ latents are: `(n, L, C)` whitened to `(n,)`, about 1 for a typical one."""
        return whitened.square().mean((1, 2))

    def spread(self, whitened: torch.Tensor) -> torch.Tensor:
        """Measure how far the layers of a W+ latent are apart: `(n, L, C)` whitened to `(n,)`, 0 for one of W.

        The pull of W+ towards W follows Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (2021).
        """
        return (whitened - whitened.mean(1, keepdim=True)).square().mean((1, 2))


def deskew(latents: torch.Tensor) -> torch.Tensor:
    """Apply the inverse of the leaky ReLU with slope 0.2."""
    return F.leaky_relu(latents, 1.0 / SLOPE)
