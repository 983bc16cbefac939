"""Encoder from images to W+ latents, with refinement passes (ReStyle: Alaluf et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.networks.generator import JointGenerator


class ResidualBlock(nn.Module):
    """Apply a pre-activation residual block with group normalisation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.norm0 = nn.GroupNorm(8, in_channels)
        self.conv0 = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.norm1 = nn.GroupNorm(8, out_channels)
        self.conv1 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            # ceil_mode agrees with the strided convolution on odd sizes
            self.skip = nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(in_channels, out_channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H/stride, W/stride)`."""
        y = self.conv0(F.silu(self.norm0(x)))
        return self.skip(x) + self.conv1(F.silu(self.norm1(y)))


class LatentEncoder(nn.Module):
    """Predict the W+ latents that render an image, as an offset from given ones.

    Every latent has its own spatial template over the coarsest feature map, which keeps position (where the liver
    lies) at a fraction of the parameters of a fully connected head.

    Args:
        image_channels: 1 or 3.
        num_latents: latents of the generator.
        latent_dim: length of a latent.
        channels: channels at full, 1/2, 1/4, 1/8 and 1/16 resolution.
        grid: edge length to which the coarsest map is pooled, whatever the size of the image.
        refinement_passes: passes of `encode`; each after the first sees the rendering of the latents before it.
    """

    def __init__(
        self,
        image_channels: int = 1,
        num_latents: int = 12,
        latent_dim: int = 256,
        channels: Sequence[int] = (16, 48, 96, 160, 192),
        grid: int = 8,
        refinement_passes: int = 1,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.refinement_passes = refinement_passes
        self.stem = nn.Conv2d(2 * image_channels, channels[0], 3, 1, 1)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(ResidualBlock(before, after, 2), ResidualBlock(after, after))
                for before, after in zip(channels[:-1], channels[1:], strict=True)
            ]
        )
        width = channels[-1]
        self.norm = nn.GroupNorm(8, width)
        self.templates = nn.Parameter(torch.randn(num_latents, width, grid, grid) / grid)
        self.hidden = nn.Linear(width, latent_dim)
        self.heads = nn.Parameter(torch.zeros(num_latents, latent_dim, latent_dim))
        self.head_bias = nn.Parameter(torch.zeros(num_latents, latent_dim))

    def features(self, image: torch.Tensor, rendering: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Compute feature maps of `(N, C, H, W)` at 1/2, 1/4, 1/8 and 1/16 resolution."""
        if rendering is None:
            rendering = torch.zeros_like(image)
        x = self.stem(torch.cat([image, rendering], 1))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    @torch.jit.unused
    def forward(
        self, image: torch.Tensor, latents: torch.Tensor, rendering: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Improve latents by one pass.

        Args:
            image: `(N, C, H, W)`, any size of at least 16.
            latents: W+ `(N, L, D)` to start from, such as the mean latent.
            rendering: what `latents` render, `(N, C, H, W)`, or None for the first pass.

        Returns:
            W+ `(N, L, D)`.
        """
        return self.improve(self.features(image, rendering)[-1], latents)

    @torch.jit.unused
    def improve(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Improve latents W+ `(N, L, D)` by the coarsest of the `features` of an image and their rendering."""
        x = F.silu(self.norm(features))
        if x.shape[-2] != self.grid or x.shape[-1] != self.grid:
            x = F.adaptive_avg_pool2d(x, self.grid)
        pooled = torch.einsum("nchw,lchw->nlc", x.float(), self.templates) / self.grid
        hidden = F.silu(self.hidden(pooled))
        return latents + torch.einsum("nlc,lcd->nld", hidden.float(), self.heads) + self.head_bias

    def encode(
        self, image: torch.Tensor, generator: JointGenerator, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Encode images, with the refinement passes.

        Args:
            image: `(N, C, H, W)`.
            generator: whose latents to find.
            features: coarsest of the `features` of the images, where they have been computed.

        Returns:
            W+ `(N, L, D)`.
        """
        latents = generator.broadcast(generator.mean_latent[None]).expand(image.shape[0], -1, -1)
        for step in range(self.refinement_passes):
            if step == 0 and features is not None:
                latents = self.improve(features, latents)
                continue
            rendering: torch.Tensor | None = None
            if step > 0:
                rendering = generator.synthesis(latents).image
                if rendering.shape[-2:] != image.shape[-2:]:
                    rendering = F.interpolate(rendering, image.shape[-2:], mode="bilinear", align_corners=False)
            latents = self(image, latents, rendering)
        return latents
