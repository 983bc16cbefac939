"""Structures that a model has learnt after its training: small heads on maps of the student, which stays as it is.

The old classes stay what they are: the background alone is divided among those that were added, see
`monai_semgan.utils.shared_background`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from monai_semgan.networks.weights import StateDict, load_weights

WIDTH = 24
"""Channels of a head on the student's levels: some 40 thousand weights."""


class StructureHead(nn.Module):
    """Logits of structures from the maps of a student, from the coarsest to the finest, and from the slice itself.

    Args:
        feature_channels: channels of the student's maps, see `StudentUNet.with_features`.
        image_channels: 1 or 3.
        num_classes: classes of the student, background included.
        structures: how many it finds.
        width: channels on the way, a multiple of 8; half of them where the slice has its full size.
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        image_channels: int,
        num_classes: int,
        structures: int,
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList([nn.Conv2d(channels, width, 1) for channels in feature_channels])
        depth = (len(feature_channels) + 1) // 2
        self.mix = nn.ModuleList([_mixing(width, width) for _ in range(depth)])
        self.fine = _mixing(width + image_channels + num_classes, width // 2)  # half of the time is spent at this size
        self.last = nn.Conv2d(width // 2, structures, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, -3.0)  # type: ignore[arg-type]  # structures are rare

    def forward(self, image: torch.Tensor, logits: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Compute logits `(N, structures, H, W)`; the background's logit is 0.

        Args:
            image: `(N, C, H, W)` in -1..1.
            logits: the student's `(N, K, H, W)`.
            features: its maps; there are two of each size, one on the way down, one from below.
        """
        maps: list[torch.Tensor] = []
        for index, project in enumerate(self.project):
            maps.append(project(features[index]))
        x = image
        for index, mix in enumerate(self.mix):
            place = len(self.mix) - 1 - index
            both = torch.stack([maps[place], maps[len(maps) - 1 - place]]).sum(0)
            x = mix(both if index == 0 else _resized(x, both) + both)
        x = torch.cat([_resized(x.float(), image), image.float(), logits.float().softmax(1)], 1)
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript leaves out what this alone encloses
            if not self.training and torch.is_autocast_enabled(image.device.type):
                return self.last_in_full(x)
        return self.last(self.fine(x))

    @torch.jit.unused
    def last_in_full(self, x: torch.Tensor) -> torch.Tensor:
        """Map the last level in float32: grey values have more than the 8 bits of bfloat16."""
        with torch.autocast(x.device.type, enabled=False):
            return self.last(self.fine(x))


class AddedStructures(nn.Module):
    """The heads of all structures that were added, in the order in which they were learnt.

    Args:
        feature_channels: channels of the student's maps.
        num_classes: classes of the student, background included.
        structures: how many each head finds.
        image_channels: 1 or 3.
        width: channels in the heads.
        weights: file of the heads' weights, read when a state dict without any of them is loaded, as MONAI's exports
            do; None where all come in one.
    """

    __constants__ = ("counts",)

    def __init__(
        self,
        feature_channels: Sequence[int],
        num_classes: int,
        structures: Sequence[int],
        image_channels: int = 1,
        width: int = WIDTH,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.counts = tuple(structures)
        self.heads = nn.ModuleList(
            [StructureHead(feature_channels, image_channels, num_classes, count, width) for count in structures]
        )
        if weights is not None:
            self.register_load_state_dict_pre_hook(partial(_fill, Path(weights)))

    def forward(self, image: torch.Tensor, logits: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Compute logits `(N, heads + all structures, H, W)`: of every head a background of 0, and its structures."""
        parts: list[torch.Tensor] = []
        for head in self.heads:
            own = head(image, logits, features)
            parts.append(torch.zeros_like(own[:, :1]))
            parts.append(own)
        return torch.cat(parts, 1)


def _fill(path: Path, module: nn.Module, state: StateDict, prefix: str, *others: object) -> None:
    """Take the heads' weights from their own file where a state dict that is being loaded has none of them."""
    if not any(name.startswith(prefix) for name in state):
        state.update({prefix + name: value for name, value in load_weights(path).items()})


def _mixing(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.SiLU())


def _resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if x.shape[-2] == like.shape[-2] and x.shape[-1] == like.shape[-1]:
        return x
    return F.interpolate(x, [like.shape[-2], like.shape[-1]], mode="bilinear")
