"""Structures that a model has learnt after its training: small heads on maps of the student, which stays as it is.

The old classes stay what they are: the background alone is divided among those that were added, see
`monai_semgan.utils.shared_background`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

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

    def forward(self, image: torch.Tensor, logits: torch.Tensor, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute logits `(N, structures, H, W)`; the background's logit is 0.

        Args:
            image: `(N, C, H, W)` in -1..1.
            logits: the student's `(N, K, H, W)`.
            features: its maps.
        """
        sizes = sorted({feature.shape[-2:] for feature in features})
        x = image.new_zeros(())
        for size, mix in zip(sizes, self.mix, strict=False):
            parts = [
                project(feature)
                for project, feature in zip(self.project, features, strict=True)
                if feature.shape[-2:] == size
            ]
            x = mix(_resized(x, size) + torch.stack(parts).sum(0))
        x = torch.cat([_resized(x.float(), image.shape[-2:]), image.float(), logits.float().softmax(1)], 1)
        if self.training:
            return self.last(self.fine(x))
        with torch.autocast(image.device.type, enabled=False):  # grey values have more than the 8 bits of bfloat16
            return self.last(self.fine(x))


class AddedStructures(nn.Module):
    """The heads of all structures that were added, in the order in which they were learnt.

    Args:
        feature_channels: channels of the student's maps.
        num_classes: classes of the student, background included.
        structures: how many each head finds.
        image_channels: 1 or 3.
        width: channels in the heads.
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        num_classes: int,
        structures: Sequence[int],
        image_channels: int = 1,
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        self.counts = tuple(structures)
        self.heads = nn.ModuleList(
            [StructureHead(feature_channels, image_channels, num_classes, count, width) for count in structures]
        )

    def forward(self, image: torch.Tensor, logits: torch.Tensor, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute logits `(N, heads + all structures, H, W)`: of every head a background of 0, and its structures."""
        found = [head(image, logits, features) for head in self.heads]
        return torch.cat([part for own in found for part in (torch.zeros_like(own[:, :1]), own)], 1)


def _mixing(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.SiLU())


def _resized(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return x if x.ndim == 0 or x.shape[-2:] == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear")
