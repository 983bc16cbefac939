"""Image quality: Frechet distance between generated and real slices on the features of one frozen network.

The usual extractor (Inception, trained on photographs) must be downloaded and has never seen a CT. Here the network
is random but always the same: its weights come from numpy's PCG64 with a fixed seed, so that distances of different
checkpoints, machines and years can be compared. How random features rank blurred, noisy and shuffled slices is
tested in `tests/training/test_quality.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from monai.metrics import FIDMetric
from torch import nn

_SEED = 20_211_204
_WIDTHS = (16, 24, 32, 24)


class FrozenFeatures(nn.Module):
    """A random convolutional network with four scales that is the same everywhere.

    Args:
        image_channels: 1 or 3.
    """

    def __init__(self, image_channels: int = 1) -> None:
        super().__init__()
        draw = np.random.Generator(np.random.PCG64(_SEED))
        self.layers = nn.ModuleList()
        before = image_channels
        for width in _WIDTHS:
            kernel = draw.standard_normal((width, before, 3, 3))
            if not self.layers:
                # All first filters but one see differences only: brightness would drown the rest.
                kernel[1:] -= kernel[1:].mean(axis=(2, 3), keepdims=True)
            conv = nn.Conv2d(before, width, 3, padding=1, padding_mode="replicate", bias=False)
            conv.weight.data = torch.from_numpy((kernel * np.sqrt(2.0 / (before * 9))).astype(np.float32))
            self.layers.append(conv)
            before = width
        self.eval().requires_grad_(False)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of `(N, C, H, W)` at full, 1/2, 1/4 and 1/8 resolution."""
        maps = []
        x = image
        for number, layer in enumerate(self.layers):
            if number > 0:
                x = F.avg_pool2d(x, 2)
            x = F.leaky_relu(layer(x), 0.1)
            maps.append(x)
        return maps

    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Feature vectors `(N, 168)`: mean over the slice at every scale, and over its quadrants at the last."""
        maps = [feature.float() for feature in self(image)]
        pooled = [feature.mean((2, 3)) for feature in maps[:-1]]
        return torch.cat([*pooled, F.adaptive_avg_pool2d(maps[-1], 2).flatten(1)], 1)


@torch.no_grad()
def describe_all(batches: Iterable[torch.Tensor], extractor: FrozenFeatures) -> torch.Tensor:
    """Feature vectors of many batches of images `(n, C, H, W)`, on the CPU, in full single precision."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return torch.cat([extractor.describe(batch.float()).cpu() for batch in batches])


def frechet_distance(generated: torch.Tensor, real: torch.Tensor) -> float:
    """Frechet distance between two sets of feature vectors `(n, 168)` and `(m, 168)` (Heusel et al., NeurIPS 2017).

    Features are divided by the standard deviation that each has among the real ones, so that all count alike.
    """
    scale = real.double().std(0).clamp_min(1e-4)
    distance = FIDMetric()(generated.double() / scale, real.double() / scale)
    return float(torch.as_tensor(distance).real)
