"""Base of the reconstruction objectives of the inversion: a distance per slice to targets prepared once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
"""Prepared targets of a volume; an objective alone knows what is in it."""


FeaturesFn = Callable[[Tensor], Sequence[Tensor]]
"""Image `(n, C, H, W)` to a list of feature maps `(n, F, h, w)`."""


class ReconstructionObjective(ABC):
    """Measure the distance between rendered slices and target slices, one number per slice.

    No number depends on which other slices are in the batch.

    Examples:
        >>> state = objective.prepare(targets)                      # (D, C, H, W), once per volume
        >>> losses = objective(images, state, torch.tensor([4, 7])) # (2,), images of slices 4 and 7

    Attributes:
        uses_probabilities: the objective looks at the rendered labels; they are not computed for one that does not.
    """

    uses_probabilities: bool = True

    @abstractmethod
    def prepare(self, target: Tensor) -> State:
        """Compute once what the targets `(D, C, H, W)` contribute."""

    @abstractmethod
    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Compare rendered slices with their targets.

        Args:
            image: rendered slices `(n, C, H, W)`.
            state: what `prepare` returned.
            index: which slices of the volume these are, `(n,)`.
            probabilities: rendered label probabilities `(n, K, H, W)`; None unless `uses_probabilities`.

        Returns:
            Losses `(n,)` in float32, differentiable by the image.
        """

    def refit(self, images: Tensor, state: State, probabilities: Tensor | None = None) -> None:  # noqa: B027
        """Adapt what the volume's slices share, in `state`, to all rendered slices `(D, C, H, W)`.

        Most objectives share nothing and do nothing. Losses before and after a fit must not be compared.
        """


class WeightedSum(ReconstructionObjective):
    """Add objectives, each with a weight.

    Args:
        parts: pairs of objective and weight.
    """

    def __init__(self, parts: Sequence[tuple[ReconstructionObjective, float]]) -> None:
        self.parts = list(parts)
        self.uses_probabilities = any(objective.uses_probabilities for objective, _ in self.parts)

    def prepare(self, target: Tensor) -> State:
        """Prepare the targets `(D, C, H, W)` for every part."""
        return {"parts": [objective.prepare(target) for objective, _ in self.parts]}

    def __call__(self, image: Tensor, state: State, index: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """Add the weighted losses of the parts: `(n,)`."""
        losses = [
            weight * objective(image, part, index, probabilities)
            for (objective, weight), part in zip(self.parts, state["parts"], strict=True)
        ]
        return torch.stack(losses).sum(dim=0)

    def refit(self, images: Tensor, state: State, probabilities: Tensor | None = None) -> None:
        """Refit every part."""
        for (objective, _), part in zip(self.parts, state["parts"], strict=True):
            objective.refit(images, part, probabilities)


def slice_mean(values: Tensor) -> Tensor:
    """Take the mean over everything but the first axis: `(n, ...)` to `(n,)`."""
    return values.flatten(1).mean(dim=1)


def mean_absolute(values: Tensor) -> Tensor:
    """Take the mean magnitude over everything but the first axis: `(n, ...)` to `(n,)`.

    In one pass there and one back, whatever the order of the axes in memory.
    """
    axes = tuple(range(1, values.ndim))
    return torch.linalg.vector_norm(values, 1, axes) / values[0].numel()
