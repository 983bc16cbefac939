"""Which latents are plausible: statistics of the latent space where it is nearly Gaussian, and of the spatial part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from monai_semgan.networks.latent import Latent

if TYPE_CHECKING:
    from monai_semgan.networks import InversionSegmenter

SLOPE = 0.2


class LatentPrior:
    """Hold mean and covariance of w after undoing the mapping network's last leaky ReLU, and the spatial spread.

    The inverse activation removes the skew of w, principal components whiten it: Menon et al., "PULSE" (CVPR 2020);
    Zhu et al., "Improved StyleGAN Embedding: Where are the Good Latents?" (2020).

    Args:
        samples: w `(M, D)` of random z.
        spatial_scale: `(C,)` standard deviation of the spatial part by channel, measured on training slices; None for
            latents without that part.
        floor: smallest variance of a component, relative to the mean variance, so that directions in which the
            mapping network hardly moves do not dominate the distance.

    Attributes:
        scale: `(D,)` standard deviation of w.
        spatial_scale: `(C, 1, 1)`, or None.
    """

    def __init__(self, samples: torch.Tensor, spatial_scale: torch.Tensor | None = None, floor: float = 0.01) -> None:
        self.spatial_scale = None if spatial_scale is None else spatial_scale.float()[:, None, None]
        self.scale = samples.float().std(0)
        straight = deskew(samples.float())
        self.mean = straight.mean(0)
        centred = (straight - self.mean).double()
        variances, axes = torch.linalg.eigh(centred.T @ centred / max(1, samples.shape[0] - 1))
        variances = variances.clamp_min(floor * float(variances.mean()) + 1e-12)
        self.whitening = (axes * variances.rsqrt()).float()

    @classmethod
    def from_network(cls, network: InversionSegmenter, samples: int = 8192, seed: int = 0) -> LatentPrior:
        """Take the statistics from mapping network and encoder; the same seed gives the same statistics."""
        generator, encoder = network.generator, network.encoder
        noise = torch.randn(samples, generator.latent_dim, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            samples_w = generator.mapping(noise.to(generator.mean_latent.device))
        return cls(samples_w, encoder.spatial_scale if encoder.spatial_channels > 0 else None)

    def whiten(self, latent: Latent) -> Latent:
        """Map latents to coordinates in which typical ones have unit variance."""
        w_plus = (deskew(latent.w_plus) - self.mean) @ self.whitening
        if latent.spatial is None or self.spatial_scale is None:
            return Latent(w_plus)
        return Latent(w_plus, latent.spatial / self.spatial_scale)

    def length(self, whitened: Latent) -> torch.Tensor:
        """Measure how unusual latents are: whitened to `(n,)`, about 1 for each part of a typical one."""
        return torch.stack([part.square().flatten(1).mean(1) for part in whitened.parts]).sum(0)

    def distance(self, whitened: Latent, other: Latent) -> torch.Tensor:
        """Measure how far whitened latents are apart: `(n,)`, in the unit of `length`."""
        pairs = zip(whitened.parts, other.parts, strict=True)
        return self.length(Latent(*(one - two for one, two in pairs)))

    def spread(self, whitened: Latent) -> torch.Tensor:
        """Measure how far the layers of whitened W+ latents are apart: `(n,)`, 0 for one of W.

        The pull of W+ towards W follows Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (2021).
        """
        w_plus = whitened.w_plus
        return (w_plus - w_plus.mean(1, keepdim=True)).square().mean((1, 2))


def deskew(latents: torch.Tensor) -> torch.Tensor:
    """Apply the inverse of the leaky ReLU with slope 0.2."""
    return F.leaky_relu(latents, 1.0 / SLOPE)
