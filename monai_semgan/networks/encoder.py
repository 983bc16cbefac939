"""Encoder from images to latents, with refinement passes (ReStyle: Alaluf et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.networks.generator import JointGenerator
from monai_semgan.networks.latent import Latent


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
    """Predict the latents that render an image, as an offset from given ones.

    Every latent of W+ has its own template over the coarsest feature map, which keeps position (where the liver lies)
    at a fraction of the parameters of a fully connected head. The spatial part is read off the map at an eighth of the
    image's size, joined with the coarsest one.

    Args:
        image_channels: 1 or 3.
        num_latents: latents of the generator.
        latent_dim: length of a latent.
        channels: channels at full, 1/2, 1/4, 1/8 and 1/16 resolution.
        grid: edge length to which the coarsest map is pooled, whatever the size of the image.
        refinement_passes: passes of `encode`; each after the first sees the rendering of the latents before it.
        spatial_channels: channels of the spatial part, those of the generator's trunk; 0 for W+ alone.
        spatial_size: edge length of the spatial part.

    Attributes:
        spatial_scale: `(spatial_channels,)` standard deviation of the spatial part, measured
            whenever its training writes weights.
    """

    def __init__(
        self,
        image_channels: int = 1,
        num_latents: int = 12,
        latent_dim: int = 256,
        channels: Sequence[int] = (16, 48, 96, 160, 192),
        grid: int = 8,
        refinement_passes: int = 1,
        spatial_channels: int = 0,
        spatial_size: int = 16,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.refinement_passes = refinement_passes
        self.spatial_channels, self.spatial_size = spatial_channels, spatial_size
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
        if spatial_channels > 0:
            self.join = ResidualBlock(width + channels[-2], channels[-2])
            self.to_spatial = nn.Conv2d(channels[-2], spatial_channels, 1)
            nn.init.zeros_(self.to_spatial.weight)  # an encoder that has learnt nothing leaves the trunk alone
            nn.init.zeros_(self.to_spatial.bias)  # type: ignore[arg-type]
            self.spatial_scale = nn.Buffer(torch.ones(spatial_channels))

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
    def forward(self, image: torch.Tensor, latent: Latent, rendering: torch.Tensor | None = None) -> Latent:
        """Improve latents by one pass.

        Args:
            image: `(N, C, H, W)`, any size of at least 16.
            latent: to start from, such as that of `start`.
            rendering: what `latent` renders, `(N, C, H, W)`, or None for the first pass.
        """
        return self.improve(self.features(image, rendering), latent)

    @torch.jit.unused
    def improve(self, features: Sequence[torch.Tensor], latent: Latent) -> Latent:
        """Improve latents by the last two of the `features` of an image and their rendering."""
        fine, coarse = features[-2:]
        w_plus = latent.w_plus + self._w_offset(coarse)
        if latent.spatial is None:
            return Latent(w_plus)
        return Latent(w_plus, latent.spatial + self._spatial_offset(fine, coarse))

    def _w_offset(self, coarse: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.norm(coarse))
        if x.shape[-2] != self.grid or x.shape[-1] != self.grid:
            x = F.adaptive_avg_pool2d(x, self.grid)
        pooled = torch.einsum("nchw,lchw->nlc", x.float(), self.templates) / self.grid
        hidden = F.silu(self.hidden(pooled))
        return torch.einsum("nlc,lcd->nld", hidden.float(), self.heads) + self.head_bias

    def _spatial_offset(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        x = self.to_spatial(F.silu(self.join(torch.cat([coarse, fine], 1)))).float()
        size = (self.spatial_size, self.spatial_size)
        if x.shape[-2:] == size:
            return x
        if x.shape[-2] > size[0]:
            return F.adaptive_avg_pool2d(x, size)
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    @torch.jit.unused
    def start(self, generator: JointGenerator, count: int) -> Latent:
        """Repeat the mean latent of a generator for so many images; a spatial part, if there is one, is 0."""
        mean = generator.mean_latent
        w_plus = generator.broadcast(mean[None]).expand(count, -1, -1)
        if self.spatial_channels == 0:
            return Latent(w_plus)
        return Latent(w_plus, mean.new_zeros(count, self.spatial_channels, self.spatial_size, self.spatial_size))

    @torch.jit.unused
    def encode(
        self, image: torch.Tensor, generator: JointGenerator, features: Sequence[torch.Tensor] | None = None
    ) -> Latent:
        """Encode images, with the refinement passes.

        Args:
            image: `(N, C, H, W)`.
            generator: whose latents to find.
            features: last two of the `features` of the images, where they have been computed.
        """
        latent = self.start(generator, image.shape[0])
        for step in range(self.refinement_passes):
            if step == 0 and features is not None:
                latent = self.improve(features, latent)
                continue
            rendering: torch.Tensor | None = None
            if step > 0:
                rendering = generator.synthesis(latent.w_plus, latent.spatial).image
                if rendering.shape[-2:] != image.shape[-2:]:
                    rendering = F.interpolate(rendering, image.shape[-2:], mode="bilinear", align_corners=False)
            latent = self(image, latent, rendering)
        return latent
