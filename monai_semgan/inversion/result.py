"""The result of an inversion, with residual and uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from monai_semgan.inversion.objectives.intensity_map import IntensityMapObjective
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.networks import Latent

ENTROPY_SLICES = 32
"""Slices taken together, since a long scan's probabilities several times over would fill the memory."""


@dataclass(frozen=True)
class InversionResult:
    """Hold the inverted slices of a volume, on the grid of the slices.

    Attributes:
        label: `(D, H, W)` uint8 class ids.
        probabilities: `(D, K, H, W)`, background first; what `label` is taken from.
        reconstruction: `(D, C, H, W)` rendering of the best latents, in -1..1.
        residual: `(D, H, W)` distance between slice and rendering, see `residual_map`.
        uncertainty: `(D, H, W)` normalised predictive entropy, 0 certain to 1 undecided.
        latent: best latents of the D slices; a later inversion can start from them.
        curve: `(steps + 1, D)` objective of every slice after every number of updates; NaN where not computed.
        steps_done: `(D,)` updates of every slice whose result was evaluated.
        converged: `(D,)` bool: the slice stopped early, since it did not improve any more.
        failed: `(D,)` bool: the slice was given up after a loss that is not a number; it keeps its best latent.
        cancelled: ended by the callback; everything above is valid, with the best latents found until then.
        objective: name of the reconstruction objective.
        batch_size: slices rendered together in the end.
    """

    label: torch.Tensor
    probabilities: torch.Tensor
    reconstruction: torch.Tensor
    residual: torch.Tensor
    uncertainty: torch.Tensor
    latent: Latent
    curve: torch.Tensor
    steps_done: torch.Tensor
    converged: torch.Tensor
    failed: torch.Tensor
    cancelled: bool
    objective: str
    batch_size: int

    def to(self, device: torch.device | str) -> InversionResult:
        """Return the same on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in tensors.items() if isinstance(v, (torch.Tensor, Latent))}
        return replace(self, **moved)


def predictive_entropy(members: list[torch.Tensor]) -> torch.Tensor:
    """Compute the uncertainty of several opinions: entropy of their mean, as a fraction of the largest possible one.

    Args:
        members: probabilities `(D, K, H, W)` each.

    Returns:
        `(D, H, W)` from 0 to 1.
    """
    found = []
    for parts in zip(*(m.split(ENTROPY_SLICES) for m in members), strict=True):
        mean = torch.stack([part.float() for part in parts]).mean(0)
        entropy = -(mean * mean.clamp_min(1e-12).log()).sum(1)
        found.append((entropy / math.log(mean.shape[1])).clamp(0, 1))
    return torch.cat(found)


def residual_map(target: torch.Tensor, rendering: torch.Tensor, in_domain: bool = True) -> torch.Tensor:
    """Compute where slice and rendering differ.

    Grey values of another modality mean other things, so out of domain the grey values of each rendering are first
    mapped to those of its slice by the piecewise linear map that fits best.

    Args:
        target: `(D, C, H, W)` slices.
        rendering: `(D, C, H, W)`.
        in_domain: the slices are of the modality that the generator has learnt.

    Returns:
        `(D, H, W)` absolute difference, mean of the channels; 2 is the full range.
    """
    if not in_domain:
        pairs = zip(target.split(1), rendering.split(1), strict=True)
        rendering = torch.cat([_match_grey_values(one, rendered) for one, rendered in pairs])
    return (target - rendering).abs().mean(1)


def _match_grey_values(target: torch.Tensor, rendering: torch.Tensor) -> torch.Tensor:
    matching = IntensityMapObjective(L1FeatureObjective(), ridge=1e-5, smoothness=1e-4)
    state = matching.prepare(target)
    matching.refit(rendering, state)
    return matching.apply(rendering, state)
