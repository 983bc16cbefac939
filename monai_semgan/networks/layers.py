"""Layers of style-based synthesis, with weights scaled at run time (equalised learning rate).

Formulas: Karras et al., "A Style-Based Generator Architecture for GANs" (CVPR 2019) and "Analyzing and Improving the
Image Quality of StyleGAN" (CVPR 2020).

`torch.jit.unused` marks what TorchScript leaves out: a scripted bundle holds the feed-forward path only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

GAIN = math.sqrt(2.0)
SLOPE = 0.2


def scaled_leaky_relu(x: torch.Tensor) -> torch.Tensor:
    """Apply a leaky ReLU with slope 0.2 that keeps the variance of a unit normal input."""
    return F.leaky_relu(x, SLOPE) * GAIN


class EqualLinear(nn.Module):
    """Apply a linear layer whose weights are stored with unit variance and scaled when used.

    Args:
        in_features: inputs.
        out_features: outputs.
        lr_multiplier: learning rate relative to the other layers.
        bias: initial value of the bias.
    """

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.scale = lr_multiplier / math.sqrt(in_features)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, in_features)` to `(N, out_features)`."""
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class EqualConv2d(nn.Module):
    """Convolve with equalised learning rate and padding that keeps the size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd edge length of the kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2

    def forward(self, x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H, W)`, times `gain`: weights are fewer than pixels."""
        return F.conv2d(x, self.weight * (self.scale * gain), self.bias * gain, padding=self.padding)


class ModulatedConv2d(nn.Module):
    """Convolve with input channels scaled by a style, optionally upsampling by two.

    The activations are scaled before and after one convolution with the shared weight; this equals scaling the
    weight of every sample but needs no grouped convolution. Upsampling is a transposed convolution followed by a
    low-pass filter, which equals filtering the zero-stuffed input first since both are linear and shift invariant.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd edge length of the kernel.
        latent_dim: length of the latent that drives the style.
        demodulate: bring every output channel back to unit expected variance.
        resample_filter: taps of the separable low-pass filter for upsampling, or None to keep the size;
            `(1, 3, 3, 1)` is bilinear, `(1, 1)` nearest neighbour.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        latent_dim: int,
        demodulate: bool = True,
        resample_filter: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.affine = EqualLinear(latent_dim, in_channels, bias=1.0)
        self.scale = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        self.upsample = resample_filter is not None
        self.padding = kernel_size // 2
        taps = torch.tensor(resample_filter or (1,), dtype=torch.float32)
        kernel = torch.outer(taps, taps)
        kernel = kernel * (4.0 / kernel.sum() if self.upsample else 1.0)
        self.filter = nn.Buffer(kernel[None, None], persistent=False)
        self.filter_padding = (len(taps) - 2) // 2 if self.upsample else 0

    @torch.jit.unused
    def forward(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Convolve `(N, in_channels, H, W)` under the style of `latent` `(N, latent_dim)`."""
        style = self.affine(latent).float()
        weight = self.weight * self.scale
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.upsample:
            x = F.conv_transpose2d(x, weight.transpose(0, 1).flip(2, 3), stride=2)
            channels = x.shape[1]
            kernel = self.filter.to(x.dtype).expand(channels, 1, -1, -1)
            x = F.conv2d(x, kernel, padding=self.filter_padding, groups=channels)
        else:
            x = F.conv2d(x, weight, padding=self.padding)
        if self.demodulate:
            energy = (style.square()[:, None] * weight.square().sum((2, 3))[None]).sum(2)
            x = x * torch.rsqrt(energy + 1e-8).to(x.dtype)[:, :, None, None]
        return x


class StyledConv(nn.Module):
    """Apply a modulated 3x3 convolution, optional noise, bias and activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        latent_dim: length of the latent.
        resample_filter: see `ModulatedConv2d`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, latent_dim: int, resample_filter: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, latent_dim, resample_filter=resample_filter)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    @torch.jit.unused
    def forward(self, x: torch.Tensor, latent: torch.Tensor, noise: bool = False) -> torch.Tensor:
        """Map `(N, in_channels, H, W)` and `(N, latent_dim)` to `(N, out_channels, H or 2H, W or 2W)`."""
        x = self.conv(x, latent)
        if noise:
            noise_map = torch.randn(x.shape[0], 1, x.shape[2], x.shape[3], device=x.device)
            x = x + (self.noise_strength * noise_map).to(x.dtype)  # float32 would promote the whole trunk
        return scaled_leaky_relu(x + self.bias[None, :, None, None].to(x.dtype))
