"""What pixel constraints mean for an inversion beyond their loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from monai_semgan.losses.label_losses import PixelConstraints

__all__ = ["PixelConstraints", "constrained_slices", "impose"]


def constrained_slices(constraints: PixelConstraints) -> torch.Tensor:
    """Find the slices with at least one pixel whose label is fixed: `(D,)` bool."""
    return (constraints.labels >= 0).flatten(1).any(1)


def impose(constraints: PixelConstraints, probabilities: torch.Tensor) -> torch.Tensor:
    """Set the fixed pixels of `(D, K, H, W)` to certainty: what a user has drawn always wins."""
    labels = constraints.labels.to(probabilities.device).long()
    certain = F.one_hot(labels.clamp_min(0), probabilities.shape[1]).permute(0, 3, 1, 2)
    return torch.where((labels >= 0)[:, None], certain.to(probabilities.dtype), probabilities)
