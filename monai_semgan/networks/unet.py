"""The student: a plain U-Net that learns from generated pairs and labelled scans, for previews on any machine.

It is MONAI's residual `UNet` with instance normalisation and two units a level: names, initial values and, to rounding,
results are the same, so weights go either way (a test compares them). It is spelt out here because a preview needs
nothing else of MONAI, and importing MONAI takes longer than a preview.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

UNITS = 2
"""Convolutions of a residual block on the way down."""


class ResidualUnit(nn.Module):
    """Convolutions with normalisation and activation, and a way around them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        units: number of convolutions.
        last_plain: nothing follows the last convolution, which gives out logits.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, units: int = UNITS, last_plain: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for k in range(units):
            first = k == 0
            layer = nn.Conv2d(in_channels if first else out_channels, out_channels, 3, stride if first else 1, 1)
            plain = last_plain and k == units - 1
            self.conv.add_module(f"unit{k}", nn.Sequential(OrderedDict(conv=layer)) if plain else _normalised(layer))
        self.residual: nn.Module = nn.Identity()
        if stride != 1:
            self.residual = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        elif in_channels != out_channels:
            self.residual = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        around = self.residual(x)  # first: the order in which gradients are summed up depends on it
        return self.conv(x) + around

    def with_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Map as `forward` does; the bottom of a U-Net has no maps of its own."""
        maps: list[torch.Tensor] = []
        return self.forward(x), maps


class SkipConnection(nn.Module):
    """Append what a network makes of its input to the input's channels.

    Args:
        submodule: keeps height and width.
    """

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to `(N, C + the submodule's channels, H, W)`."""
        return torch.cat([x, self.submodule(x)], 1)

    def with_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Map as `forward` does, and give the input, the submodule's maps and what it makes of the input."""
        inner, maps = self.submodule.with_maps(x)  # type: ignore[operator]
        return torch.cat([x, inner], 1), [x] + maps + [inner]


class Level(nn.Sequential):
    """A level of a U-Net: down, a skip connection around all below it, and up."""

    def with_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Map as `forward` does, and give the maps on the way: down to the bottom, and up to below this level."""
        joined, maps = self[1].with_maps(self[0](x))  # type: ignore[operator]
        return self[2](joined), maps


class StudentUNet(nn.Module):
    """Residual U-Net for slices; each level halves height and width.

    Args:
        image_channels: 1 or 3.
        num_classes: label channels, background included.
        channels: channels by level, two at least.

    Raises:
        ValueError: if there are fewer than two levels.
    """

    __jit_unused_properties__ = ("feature_channels",)

    def __init__(self, image_channels: int, num_classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        if len(channels) < 2:
            raise ValueError(f"channels {list(channels)}: a U-Net has at least two levels")
        self.model = _level(image_channels, num_classes, list(channels), top=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, K, H, W)`; see `first_level_in_full` for use under autocast."""
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript leaves out what this alone encloses
            if not self.training and torch.is_autocast_enabled(image.device.type):
                return self.first_level_in_full(image)
        return self.model(image)

    @torch.jit.unused
    def first_level_in_full(self, image: torch.Tensor) -> torch.Tensor:
        """Map images to logits with float32 where slices come in and labels go out, and autocast in between.

        bfloat16 has 8 bits, half of what a slice's grey values need: of the voxels that change when all of the network
        is in bfloat16, two thirds change because of the first level, which has a quarter of the arithmetic.
        """
        down, below, up = self.model
        with torch.autocast(image.device.type, enabled=False):
            x = down(image.float())
        x = below(x)
        with torch.autocast(image.device.type, enabled=False):
            return up(x.float())

    @property
    def feature_channels(self) -> list[int]:
        """Count the channels of every map that `with_features` gives."""
        levels, bottom = self._levels()
        widths = [_width(level[0]) for level in levels]
        return [*widths, _width(bottom), *reversed(widths[:-1])]

    def with_features(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Map `(N, C, H, W)` to logits `(N, K, H, W)`, equal to those of `forward`, and to the maps on the way.

        Returns:
            Logits, and maps `(N, c, h, w)`: those on the way down, the coarsest one, and those on the way up.
        """
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript leaves out what this alone encloses
            if not self.training and torch.is_autocast_enabled(image.device.type):
                return self.features_in_full(image)
        return self.model.with_maps(image)

    @torch.jit.unused
    def features_in_full(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Map as `with_features` does, in the precisions of `first_level_in_full`."""
        down, below, up = self.model
        with torch.autocast(image.device.type, enabled=False):
            first = down(image.float())
        joined, maps = below.with_maps(first)  # type: ignore[operator]
        with torch.autocast(image.device.type, enabled=False):
            return up(joined.float()), maps

    def _levels(self) -> tuple[list[nn.Sequential], ResidualUnit]:
        """Take the levels apart, from the finest to the coarsest, and what lies below all of them."""
        levels: list[nn.Sequential] = [self.model]
        inner = self.model[1].submodule
        while isinstance(inner, nn.Sequential):
            levels.append(inner)
            inner = inner[1].submodule  # type: ignore[union-attr,assignment]
        return levels, inner  # type: ignore[return-value]


class StudentEnsemble(nn.Module):
    """Several students of the same classes, such as those of the folds of a training: their mean probability.

    Args:
        members: networks from `(N, C, H, W)` to logits `(N, K, H, W)`.
    """

    __jit_unused_properties__ = ("feature_channels",)

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, K, H, W)` whose softmax is the mean of the members' ones."""
        total = torch.zeros(1, device=image.device)
        for member in self.members:
            total = total + member(image).float().softmax(dim=1)
        return torch.log((total / len(self.members)).clamp_min(1e-7))  # a literal, for TorchScript

    @property
    def feature_channels(self) -> list[int]:
        """Count the channels of every map that `with_features` gives."""
        return list(self.members[0].feature_channels)  # type: ignore[arg-type]

    def with_features(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Give the logits of all members, equal to those of `forward`, and the maps of the first one."""
        logits, features = self.members[0].with_features(image)  # type: ignore[operator]
        total = torch.zeros(1, device=image.device) + logits.float().softmax(dim=1)
        for index, member in enumerate(self.members):
            if index > 0:
                total = total + member(image).float().softmax(dim=1)
        return torch.log((total / len(self.members)).clamp_min(1e-7)), features


def build_student(
    image_channels: int = 1,
    num_classes: int = 5,
    channels: Sequence[int] = (32, 64, 128, 192, 192),
    members: int = 1,
) -> StudentUNet | StudentEnsemble:
    """Build the residual U-Net for slices, or several of them whose probabilities are averaged.

    Args:
        image_channels: 1 or 3.
        num_classes: label channels, background included.
        channels: channels by level; the first level works at half the resolution, which halves the time on a CPU.
        members: number of networks.

    Returns:
        Network from `(N, C, H, W)` to logits `(N, K, H, W)`; H and W must be multiples of `2 ** (levels - 1)`.
    """
    if members > 1:
        return StudentEnsemble([StudentUNet(image_channels, num_classes, channels) for _ in range(members)])
    return StudentUNet(image_channels, num_classes, channels)


def _width(unit: nn.Module) -> int:
    """Count the channels that a residual unit gives out."""
    return int(unit.conv.unit0.conv.out_channels)  # type: ignore[union-attr,arg-type]


def _level(in_channels: int, out_channels: int, channels: list[int], top: bool = False) -> Level:
    """A level and all below it, from the bottom up: random initial values depend on the order."""
    width = channels[0]
    if len(channels) > 2:
        below: nn.Module = _level(width, width, channels[1:])
        joined = 2 * width
    else:
        below = ResidualUnit(width, channels[1])
        joined = width + channels[1]
    down = ResidualUnit(in_channels, width, stride=2)
    rising = _normalised(nn.ConvTranspose2d(joined, out_channels, 3, stride=2, padding=1, output_padding=1))
    up = nn.Sequential(rising, ResidualUnit(out_channels, out_channels, units=1, last_plain=top))
    return Level(down, SkipConnection(below), up)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution with instance normalisation and PReLU.

    Groups of one channel are instance normalisation, and on processors five times as fast as PyTorch's own of it.
    """
    channels = convolution.out_channels
    after = OrderedDict(N=nn.GroupNorm(channels, channels, affine=False), A=nn.PReLU())
    return nn.Sequential(OrderedDict(conv=convolution, adn=nn.Sequential(after)))
