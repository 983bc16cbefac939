"""Layers of style-based synthesis, with weights scaled at run time (equalised learning rate).

Formulas: Karras et al., "A Style-Based Generator Architecture for GANs" (CVPR 2019) and "Analyzing and Improving the
Image Quality of StyleGAN" (CVPR 2020).

`torch.jit.unused` marks what TorchScript leaves out: a scripted bundle holds the feed-forward path only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

GAIN = math.sqrt(2.0)
SLOPE = 0.2


def scaled_leaky_relu(x: torch.Tensor) -> torch.Tensor:
    """Apply a leaky ReLU with slope 0.2 that keeps the variance of a unit normal input."""
    return F.leaky_relu(x, SLOPE) * GAIN


class ScaledActivation(torch.autograd.Function):
    """Scale, shift and activate in two passes over a map, and three back (five as separate operations)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """Compute `leaky_relu(x * factor + offset)` of `(N, C, H, W)`."""
        activated = F.leaky_relu_(torch.addcmul(offset, x, factor), SLOPE)
        ctx.save_for_backward(x, factor, activated)
        ctx.shape = offset.shape
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Differentiate; made of operations that can be differentiated again."""
        x, factor, activated = ctx.saved_tensors
        gradient = torch.ops.aten.leaky_relu_backward(gradient, activated, SLOPE, True)
        needed = ctx.needs_input_grad
        return (
            gradient * factor if needed[0] else None,
            (gradient * x).sum((2, 3), keepdim=True) if needed[1] else None,
            gradient.sum_to_size(ctx.shape) if needed[2] else None,
        )


class ReadOut(torch.autograd.Function):
    """Convolve 1x1 with weights for every sample; channels last stay so on the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` by `(N, K, C)` to `(N, K, H, W)`."""
        ctx.save_for_backward(x, weight)
        return torch.bmm(weight, x.flatten(2)).unflatten(2, x.shape[2:])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Differentiate; made of operations that can be differentiated again."""
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(2).transpose(1, 2)  # (N, HW, K)
        needed = ctx.needs_input_grad
        return (
            torch.bmm(rows, weight).transpose(1, 2).unflatten(2, x.shape[2:]) if needed[0] else None,
            torch.bmm(gradient.flatten(2), x.flatten(2).transpose(1, 2)) if needed[1] else None,
        )


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
        return F.linear(x * self.scale, self.weight, self.bias * self.lr_multiplier)  # cheaper than to scale weights


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
    To fold the filter into the kernel, or to split it by phase, costs two to four times the arithmetic and measures
    slower on CPUs.

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
        self._kept: dict[torch.dtype, Kernel] | None = None

    @torch.jit.unused
    def forward(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Convolve `(N, in_channels, H, W)` under the style of `latent` `(N, latent_dim)`."""
        x, factor = self.convolve(x, latent)
        return x * factor

    @torch.jit.unused
    def convolve(self, x: torch.Tensor, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Convolve as `forward`, and leave the scaling of the outputs to the caller, who has others to join with it.

        Returns:
            Output `(N, out_channels, H, W)` and the factors `(N, out_channels, 1, 1)` that it is to be scaled by.
        """
        style = self.style(latent)
        kernel = self.kernel(convolution_dtype(x))
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.upsample:
            x = F.conv_transpose2d(x, kernel.weight, stride=2)
            low_pass = self.filter.to(x.dtype).expand(x.shape[1], 1, -1, -1)
            x = F.conv2d(x, low_pass, padding=self.filter_padding, groups=x.shape[1])
        else:
            x = F.conv2d(x, kernel.weight, padding=self.padding)
        factor = torch.full_like(style[:, :1], self.scale).expand(-1, x.shape[1])
        if self.demodulate:
            with torch.autocast(x.device.type, enabled=False):
                energy = style.square() @ kernel.energy.T
            factor = self.scale * torch.rsqrt(self.scale**2 * energy + 1e-8)
        return x, factor.to(x.dtype)[:, :, None, None]

    @torch.jit.unused
    def read_out(self, latent: torch.Tensor) -> torch.Tensor:
        """Compute the weights of a 1x1 convolution for every sample: `(N, out_channels, in_channels)`."""
        return self.weight[None, :, :, 0, 0] * (self.scale * self.style(latent))[:, None]

    def style(self, latent: torch.Tensor) -> torch.Tensor:
        """Compute the factors `(N, in_channels)` of the inputs, in full precision."""
        with torch.autocast(latent.device.type, enabled=False):
            return self.affine(latent.to(self.affine.weight.dtype))

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """Return the weight as the convolution takes it, prepared anew unless it is kept, see `kept_kernels`."""
        kept = None if self.weight.requires_grad else self._kept
        if kept is not None and dtype in kept:
            return kept[dtype]
        weight = self.weight.transpose(0, 1).flip(2, 3) if self.upsample else self.weight
        if self.weight.device.type == "cpu":
            weight = weight.contiguous(memory_format=torch.channels_last)
        energy = self.weight.square().sum((2, 3)) if self.demodulate else self.weight
        kernel = Kernel(weight.to(dtype), energy)
        if kept is not None:
            kept[dtype] = kernel
        return kernel


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
        x, factor = self.conv.convolve(x, latent)
        offset = (GAIN * self.bias)[None, :, None, None]
        if noise:
            noise_map = torch.randn(x.shape[0], 1, x.shape[2], x.shape[3], device=x.device)
            offset = offset + GAIN * self.noise_strength * noise_map
        # the gain goes through the activation, so that it joins the factors: a pass over the maps less
        return ScaledActivation.apply(x, GAIN * factor, offset.to(x.dtype))


class Kernel(NamedTuple):
    """Hold what a convolution takes: its weight, and the square sums `(out_channels, in_channels)` of the kernels."""

    weight: torch.Tensor
    energy: torch.Tensor


def convolution_dtype(x: torch.Tensor) -> torch.dtype:
    """Return the type in which a convolution of `x` is computed, here and now."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


@contextmanager
def kept_kernels(network: nn.Module) -> Iterator[None]:
    """Prepare the kernels of modulated convolutions once for all calls inside, where their weights must not change.

    Weights that require gradients are prepared for every call all the same.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, ModulatedConv2d)]
    for layer in layers:
        layer._kept = {}
    try:
        yield
    finally:
        for layer in layers:
            layer._kept = None
