"""Discriminators of images and of (image, label) pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from monai.networks.nets import PatchDiscriminator
from torch import nn

from monai_semgan.networks.generator import SLIM_CHANNELS
from monai_semgan.networks.layers import GAIN, SLOPE, EqualConv2d, EqualLinear, scaled_leaky_relu


def activate(layer: EqualConv2d, x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    """Apply a layer, scaled leaky ReLU and `gain`; a positive factor may as well come before a leaky ReLU."""
    return F.leaky_relu(layer(x, GAIN * gain), SLOPE, inplace=True)


class DownBlock(nn.Module):
    """Apply a residual block that halves the resolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3)
        self.skip = EqualConv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H/2, W/2)`."""
        half = math.sqrt(0.5)
        residual = activate(self.conv1, F.avg_pool2d(activate(self.conv0, x), 2), half)
        return self.skip(F.avg_pool2d(x, 2), half).add_(residual)


class MinibatchStd(nn.Module):
    """Append the standard deviation within groups of the batch as a feature map (Karras et al., ICLR 2018).

    Args:
        group_size: largest number of images in a group; a batch that it does not divide uses a smaller group.
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to `(N, C + 1, H, W)`."""
        n, c, h, w = x.shape
        group = max(g for g in range(1, min(self.group_size, n) + 1) if n % g == 0)
        grouped = x.float().reshape(group, n // group, c, h, w)
        std = torch.sqrt(grouped.var(0, unbiased=False) + 1e-8).mean((1, 2, 3))
        return torch.cat([x, std.repeat(group)[:, None, None, None].expand(-1, 1, h, w).to(x.dtype)], 1)


class ImageDiscriminator(nn.Module):
    """Judge by a residual network with minibatch standard deviation: is the image real?

    Args:
        size: edge length of the image, a power of two.
        image_channels: 1 or 3.
        channels: channels by resolution; default those of the slim generator.
    """

    def __init__(self, size: int = 128, image_channels: int = 1, channels: Mapping[int, int] | None = None) -> None:
        super().__init__()
        widths = {int(k): v for k, v in (channels or SLIM_CHANNELS).items()}
        self.from_image = EqualConv2d(image_channels, widths[size], 1)
        resolutions = [2**k for k in range(int(math.log2(size)), 2, -1)]
        self.blocks = nn.ModuleList([DownBlock(widths[r], widths[r // 2]) for r in resolutions])
        self.minibatch_std = MinibatchStd()
        self.conv = EqualConv2d(widths[4] + 1, widths[4], 3)
        self.hidden = EqualLinear(widths[4] * 16, widths[4])
        self.score = EqualLinear(widths[4], 1)

    def features(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Compute feature maps of `(N, C, H, W)` from half the resolution down to 4x4."""
        # A 1x1 convolution as a product of matrices has the channels last, which pooling and the layers that follow
        # keep: on a processor both are faster so.
        first = self.from_image
        weight, bias = first.weight.flatten(1) * (first.scale * GAIN), first.bias * GAIN
        x = F.leaky_relu(F.linear(image.movedim(1, -1), weight, bias), SLOPE, inplace=True).movedim(-1, 1)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Score `(N, C, H, W)`: `(N,)`, higher means real."""
        x = self.minibatch_std(self.features(image)[-1])
        x = activate(self.conv, x).flatten(1)
        return self.score(scaled_leaky_relu(self.hidden(x))).squeeze(1).float()


class JointDiscriminator(nn.Module):
    """Judge patches at three scales: do image and label belong together?

    Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (CVPR 2018).

    Args:
        image_channels: 1 or 3.
        num_classes: label channels, background included.
        channels: channels of the first convolution.
        num_layers: strided convolutions of each discriminator.
        num_scales: number of discriminators; each sees half the resolution of the one before.
    """

    def __init__(
        self,
        image_channels: int = 1,
        num_classes: int = 5,
        channels: int = 48,
        num_layers: int = 2,
        num_scales: int = 3,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            [
                PatchDiscriminator(
                    spatial_dims=2,
                    channels=channels,
                    in_channels=image_channels + num_classes,
                    num_layers_d=num_layers,
                    norm=("instance", {"affine": False}),
                )
                for _ in range(num_scales)
            ]
        )

    def forward(self, image: torch.Tensor, probabilities: torch.Tensor) -> list[torch.Tensor]:
        """Score patches of pairs.

        Args:
            image: `(N, C, H, W)`.
            probabilities: `(N, K, H, W)`, non-negative and summing to one over K.

        Returns:
            Patch scores `(N, 1, h, w)` of every scale, finest first.
        """
        x = torch.cat([image, probabilities * 2 - 1], 1)
        scores = []
        for k, scale in enumerate(self.scales):
            if k > 0:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(scale(x)[-1].float())
        return scores
