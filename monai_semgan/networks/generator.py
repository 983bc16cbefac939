"""Joint generator of images and labels (semanticGAN: Li et al., CVPR 2021, on a StyleGAN2 trunk)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.networks.layers import EqualLinear, ModulatedConv2d, ReadOut, StyledConv, scaled_leaky_relu

SLIM_CHANNELS: dict[int, int] = {4: 256, 8: 256, 16: 256, 32: 256, 64: 128, 128: 64, 256: 32, 512: 16}


class JointSample(NamedTuple):
    """Hold what one latent renders.

    Attributes:
        image: `(N, C, H, W)`, about -1 to 1.
        logits: `(N, K, H, W)`, one channel per class, background first.
    """

    image: torch.Tensor
    logits: torch.Tensor


class SynthesisBlock(nn.Module):
    """Join all layers of one resolution: convolutions of the trunk, and the heads of image and label.

    Args:
        in_channels: channels from the resolution below.
        out_channels: channels at this resolution.
        latent_dim: length of a latent.
        image_channels: channels of the image.
        num_classes: channels of the label, background included.
        resample_filter: taps of the upsampling filter; None for the lowest resolution, which is not upsampled.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        latent_dim: int,
        image_channels: int,
        num_classes: int,
        resample_filter: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.upsample = resample_filter is not None
        self.up: nn.Module = nn.Identity()
        if self.upsample:
            self.up = StyledConv(in_channels, out_channels, latent_dim, resample_filter)
        self.conv = StyledConv(out_channels, out_channels, latent_dim)
        self.to_image = ModulatedConv2d(out_channels, image_channels, 1, latent_dim, demodulate=False)
        self.to_label = ModulatedConv2d(out_channels, num_classes, 1, latent_dim, demodulate=False)

    @torch.jit.unused
    def forward(
        self, x: torch.Tensor, latents: torch.Tensor, noise: bool = False, residual: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Advance the trunk by one resolution.

        Args:
            x: `(N, in_channels, H, W)`.
            latents: `(N, 3, latent_dim)` for upsampling convolution, convolution and heads.
            noise: add random noise.
            residual: `(N, out_channels, H, W)` to add to the trunk; None for none.

        Returns:
            Trunk, image and logits of this resolution, before the skip sums.
        """
        if self.upsample:
            x = self.up(x, latents[:, 0], noise)
        x = self.conv(x, latents[:, 1], noise)
        if residual is not None:
            x = x + residual.to(x.dtype)
        # the style is in the small factor of a product: no scaled copy of the trunk, forth and back
        image, logits = (
            ReadOut.apply(x, head.read_out(latents[:, 2]).to(x.dtype)) for head in (self.to_image, self.to_label)
        )
        return x, image, logits


class JointGenerator(nn.Module):
    """Render image and label from one latent; the label is a style-modulated read-out of the image's trunk.

    Args:
        size: edge length of the output, a power of two from 8 to 512.
        latent_dim: length of z and of w.
        image_channels: 1 or 3.
        num_classes: label channels, background included.
        channels: trunk channels by resolution; default `SLIM_CHANNELS`.
        mapping_layers: depth of the mapping network.
        resample_filter: taps of the upsampling filter; `(1, 3, 3, 1)` bilinear, `(1, 1)` nearest neighbour.

    Raises:
        ValueError: if size is not a power of two in range.
    """

    def __init__(
        self,
        size: int = 128,
        latent_dim: int = 256,
        image_channels: int = 1,
        num_classes: int = 5,
        channels: Mapping[int, int] | None = None,
        mapping_layers: int = 6,
        resample_filter: Sequence[int] = (1, 3, 3, 1),
    ) -> None:
        super().__init__()
        if size not in SLIM_CHANNELS or size < 8:
            raise ValueError(f"size must be a power of two from 8 to 512, not {size}")
        widths = {int(k): v for k, v in (channels or SLIM_CHANNELS).items()}
        self.size, self.latent_dim = size, latent_dim
        self.num_classes, self.image_channels = num_classes, image_channels
        self.num_latents = 2 * int(math.log2(size)) - 2
        self.mapping_net = nn.ModuleList(
            [EqualLinear(latent_dim, latent_dim, lr_multiplier=0.01) for _ in range(mapping_layers)]
        )
        self.constant = nn.Parameter(torch.randn(1, widths[4], 4, 4))
        self.blocks = nn.ModuleList()
        previous = widths[4]
        self._widths: list[int] = []
        for resolution in [2**k for k in range(2, int(math.log2(size)) + 1)]:
            taps = None if resolution == 4 else resample_filter
            width = widths[resolution]
            self.blocks.append(SynthesisBlock(previous, width, latent_dim, image_channels, num_classes, taps))
            previous = width
            self._widths.append(width)
        self.image_bias = nn.Parameter(torch.zeros(image_channels))
        self.label_bias = nn.Parameter(torch.zeros(num_classes))
        self.mean_latent = nn.Buffer(torch.zeros(latent_dim))

    def mapping(self, z: torch.Tensor) -> torch.Tensor:
        """Map `(N, latent_dim)` normal noise to intermediate latents w `(N, latent_dim)`."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping_net:
            w = scaled_leaky_relu(layer(w))
        return w.float()

    def broadcast(self, w: torch.Tensor) -> torch.Tensor:
        """Repeat w `(N, D)` for every layer: W+ `(N, L, D)`."""
        return w[:, None].expand(-1, self.num_latents, -1)

    def truncate(self, w: torch.Tensor, truncation: float) -> torch.Tensor:
        """Pull w `(..., D)` towards the mean latent; 1 leaves it, 0 gives the mean."""
        return self.mean_latent + truncation * (w - self.mean_latent)

    def trunk_channels(self, size: int) -> int:
        """Count the channels of the trunk where it has `size` pixels.

        Raises:
            ValueError: if it never has.
        """
        sizes = [4 * 2**k for k in range(len(self.blocks))]
        if size not in sizes:
            raise ValueError(f"the trunk has {', '.join(map(str, sizes))} pixels, not {size}")
        return self._widths[sizes.index(size)]

    @torch.no_grad()
    def update_mean_latent(self, samples: int = 8192, seed: int = 0) -> None:
        """Set `mean_latent` to the mean w of so many z."""
        z = torch.randn(samples, self.latent_dim, generator=torch.Generator().manual_seed(seed))
        self.mean_latent.copy_(self.mapping(z.to(self.mean_latent.device)).mean(0))

    def synthesis(
        self, latents: torch.Tensor, spatial: torch.Tensor | None = None, noise: bool = False, size: int = 0
    ) -> JointSample:
        """Render latents.

        Args:
            latents: W+ `(N, L, D)`.
            spatial: residual `(N, C, S, S)`, added to the trunk where it has S pixels, before the heads there, so that
                image and label are rendered from the changed trunk; None for none.
            noise: add random noise (training); off for a deterministic rendering.
            size: stop at this lower resolution; 0 for the full size.

        Returns:
            Image `(N, C, size, size)` and logits `(N, K, size, size)`.
        """
        x = self.constant.expand(latents.shape[0], -1, -1, -1)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # a third less time than with channels first
        image = self.image_bias[None, :, None, None]
        logits = self.label_bias[None, :, None, None]
        for k, block in enumerate(self.blocks):
            if size > 0 and 4 * 2**k > size:
                break
            first = max(0, 2 * k - 1)
            styles = latents[:, [0, 0, 1]] if k == 0 else latents[:, first : first + 3]
            residual = spatial if spatial is not None and spatial.shape[-1] == 4 * 2**k else None
            x, image_k, logits_k = block(x, styles, noise, residual)
            image = (image if k == 0 else double(image)) + image_k
            logits = (logits if k == 0 else double(logits)) + logits_k
        return JointSample(image.float(), logits.float())

    def styles(
        self, z: torch.Tensor, mix_z: torch.Tensor | None = None, crossover: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map z `(N, D)` to W+; layers from `crossover` `(N,)` on take the latent of `mix_z` (style mixing)."""
        latents = self.broadcast(self.mapping(z))
        if mix_z is None or crossover is None:
            return latents
        other = self.broadcast(self.mapping(mix_z))
        layer = torch.arange(self.num_latents, device=z.device)
        return torch.where((layer[None] < crossover[:, None])[..., None], latents, other)

    @torch.jit.unused
    def forward(self, z: torch.Tensor, truncation: float = 1.0, noise: bool = False) -> JointSample:
        """Render z `(N, D)`."""
        latents = self.styles(z)
        if truncation != 1.0:
            latents = self.truncate(latents, truncation)
        return self.synthesis(latents, noise=noise)


def double(x: torch.Tensor) -> torch.Tensor:
    """Upsample `(N, C, H, W)` by two, bilinearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
