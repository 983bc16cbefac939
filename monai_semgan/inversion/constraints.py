"""What pixel constraints mean for an inversion beyond their loss."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import PixelConstraints


def check_constraints(constraints: PixelConstraints, slices: torch.Tensor, num_classes: int) -> None:
    """Make sure that constraints can be kept.

    Args:
        constraints: to look at.
        slices: `(D, C, H, W)` that they are for.
        num_classes: that the generator renders, background included.

    Raises:
        SemganError: if they are of another grid, or of a class that the generator does not render.
    """
    found, wanted = tuple(constraints.labels.shape), (len(slices), *slices.shape[-2:])
    if found != wanted:
        problem = f"constraints of shape {found} for slices of shape {wanted}"
        raise SemganError(problem, remedy="give a class for every pixel of the slices, -1 where nothing is fixed")
    highest = int(constraints.labels.max())
    if highest >= num_classes:
        remedy = f"the generator renders 0 to {num_classes - 1}; -1 where nothing is fixed"
        raise SemganError(f"constraints of class {highest}", remedy=remedy)


def constrained_slices(constraints: PixelConstraints) -> torch.Tensor:
    """Find the slices with at least one pixel whose label is fixed: `(D,)` bool."""
    return (constraints.labels >= 0).flatten(1).any(1)


def impose(constraints: PixelConstraints, probabilities: torch.Tensor) -> torch.Tensor:
    """Set the fixed pixels of `(D, K, H, W)` to certainty: what a user has drawn always wins."""
    labels = constraints.labels.to(probabilities.device).long()
    certain = F.one_hot(labels.clamp_min(0), probabilities.shape[1]).permute(0, 3, 1, 2)
    return torch.where((labels >= 0)[:, None], certain.to(probabilities.dtype), probabilities)


def kept_from_dividing(constraints: PixelConstraints, share: torch.Tensor) -> torch.Tensor:
    """Give nothing of the background to structures that were added to a model where a label is fixed.

    Args:
        constraints: of classes that the generator renders, which added structures are not.
        share: `(D, 1 + A, H, W)`, see `monai_semgan.utils.shared_background.divided`.
    """
    fixed = torch.where(constraints.labels >= 0, 0, -1)
    return impose(replace(constraints, labels=fixed), share)
