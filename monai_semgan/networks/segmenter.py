"""The network of a bundle: generator, encoder and student behind one call from image to logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.networks.encoder import LatentEncoder
from monai_semgan.networks.generator import JointGenerator, JointSample
from monai_semgan.networks.latent import Latent


class InversionSegmenter(nn.Module):
    """Segment slices by the student (`preview`) or by encoding and rendering (`encoder`).

    Test-time optimisation is no part of `forward`: it belongs to the inferer, which uses `encode` and `render`.

    Args:
        generator: joint generator.
        encoder: encoder to its latents.
        student: feed-forward network to logits.
        forward_mode: what `forward` runs: `preview` or `encoder`.

    Raises:
        ValueError: if the mode is unknown.
    """

    __constants__ = ("feed_forward",)

    def __init__(
        self, generator: JointGenerator, encoder: LatentEncoder, student: nn.Module, forward_mode: str = "preview"
    ) -> None:
        super().__init__()
        if forward_mode not in ("preview", "encoder"):
            raise ValueError(f"forward_mode must be preview or encoder, not {forward_mode!r}")
        self.generator = generator
        self.encoder = encoder
        self.student = student
        self.forward_mode = forward_mode
        self.feed_forward = forward_mode == "preview"

    def preview(self, image: torch.Tensor) -> torch.Tensor:
        """Compute logits `(N, K, H, W)` of the student for `(N, C, H, W)`."""
        return self.student(image).float()

    @torch.jit.unused
    def encode(self, image: torch.Tensor) -> Latent:
        """Encode images `(N, C, H, W)`."""
        return self.encoder.encode(image, self.generator)

    @torch.jit.unused
    def render(self, latent: Latent) -> JointSample:
        """Render image and logits of latents, without noise."""
        return self.generator.synthesis(latent.w_plus, latent.spatial)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Segment `(N, C, H, W)`: logits `(N, K, H, W)`."""
        if self.feed_forward:
            return self.preview(image)
        return self.rendered(image)

    @torch.jit.unused
    def rendered(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the logits `(N, K, H, W)` that the latents of `(N, C, H, W)` render."""
        logits = self.render(self.encode(image)).logits
        if logits.shape[-2] != image.shape[-2] or logits.shape[-1] != image.shape[-1]:
            logits = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
        return logits
