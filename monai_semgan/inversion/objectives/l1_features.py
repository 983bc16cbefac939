"""Objective for the own contrast of the generator: grey values and features."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_semgan.inversion.objectives.base import FeaturesFn, ReconstructionObjective, State, mean_absolute
from monai_semgan.inversion.objectives.registry import register_objective


@register_objective("l1")
class L1FeatureObjective(ReconstructionObjective):
    """Mean absolute difference of grey values and of feature maps, for scans of the generator's own contrast.

    Every feature map counts relative to the mean magnitude of the target's, so that none drowns the others. The
    features must not mix the batch: take them before a discriminator's minibatch statistics.

    Args:
        features_fn: image `(n, C, H, W)` to a list of feature maps `(n, F, h, w)`; None for grey values alone.
        image_weight: weight of the grey values.
        feature_weight: weight of the features, a mean over the maps.
        max_size: leave out maps larger than this; those of a whole volume have to fit into memory.
        chunk: slices prepared together.
    """

    uses_probabilities = False

    def __init__(
        self,
        features_fn: FeaturesFn | None = None,
        image_weight: float = 1.0,
        feature_weight: float = 0.2,
        max_size: int = 64,
        chunk: int = 16,
    ) -> None:
        self.features_fn = features_fn
        self.image_weight = image_weight
        self.feature_weight = feature_weight
        self.max_size = max_size
        self.chunk = chunk

    @torch.no_grad()
    def prepare(self, target: Tensor) -> State:
        """Keep the targets `(D, C, H, W)`, and their features in half precision."""
        state: State = {"target": target.detach().float(), "features": [], "scales": []}
        if self.features_fn is None:
            return state
        scales = []
        for first in range(0, len(target), self.chunk):  # in full precision for a few slices at a time
            found = [maps.float() for maps in self._features(target[first : first + self.chunk])]
            if not state["features"]:
                state["features"] = [maps.new_empty((len(target), *maps.shape[1:]), dtype=torch.half) for maps in found]
            for kept, maps in zip(state["features"], found, strict=True):
                kept[first : first + self.chunk] = maps
            scales.append([mean_absolute(maps).clamp_min(1e-3) for maps in found])
        state["scales"] = [torch.cat(level) for level in zip(*scales, strict=True)]
        return state

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Weighted sum of both differences: `(n,)`."""
        loss = self.image_weight * mean_absolute(image.float() - state["target"][index])
        if self.features_fn is None:
            return loss
        terms = [
            mean_absolute(found.float() - wanted[index].float()) / scale[index]
            for found, wanted, scale in zip(self._features(image), state["features"], state["scales"], strict=True)
        ]
        return loss + self.feature_weight * torch.stack(terms).mean(dim=0)

    def _features(self, image: Tensor) -> list[Tensor]:
        assert self.features_fn is not None
        return [maps for maps in self.features_fn(image) if maps.shape[-1] <= self.max_size]


@register_objective("features", needs_features=True)
def features_objective(features_fn: FeaturesFn) -> L1FeatureObjective:
    """Compare grey values and features."""
    return L1FeatureObjective(features_fn)
