"""Adversarial losses for scores of whole images and for lists of patch scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Scores = Tensor | Sequence[Tensor]


class AdversarialLoss:
    """Compute the loss of a discriminator and of its generator.

    `logistic` is the non-saturating loss of Goodfellow et al. (NeurIPS 2014), `hinge` that of Lim and Ye
    (arXiv 1705.02894). The losses of several scales are averaged, so that a third scale does not change the weight.

    Args:
        kind: `logistic` or `hinge`.

    Raises:
        ValueError: if the kind is unknown.
    """

    def __init__(self, kind: Literal["logistic", "hinge"] = "logistic") -> None:
        if kind not in ("logistic", "hinge"):
            raise ValueError(f"kind must be 'logistic' or 'hinge', not {kind!r}")
        self.kind = kind

    def discriminator(self, real: Scores, fake: Scores) -> Tensor:
        """Compute the loss of the discriminator.

        Args:
            real: scores of real samples, `(N, ...)` or a list of such.
            fake: scores of generated samples, likewise.

        Returns:
            A scalar.
        """
        if self.kind == "logistic":
            return _mean(real, lambda s: F.softplus(-s)) + _mean(fake, F.softplus)
        return _mean(real, lambda s: F.relu(1.0 - s)) + _mean(fake, lambda s: F.relu(1.0 + s))

    def generator(self, fake: Scores) -> Tensor:
        """Compute the loss of the generator, a scalar, from the scores of its samples."""
        if self.kind == "logistic":
            return _mean(fake, lambda s: F.softplus(-s))
        return _mean(fake, torch.neg)


def sample_scores(scores: Scores) -> Tensor:
    """Reduce to one score per sample `(N,)`: the mean over patches, then over scales."""
    scales = [scores] if isinstance(scores, Tensor) else list(scores)
    return torch.stack(
        [scale.float().flatten(1).mean(dim=1) if scale.ndim > 1 else scale.float() for scale in scales]
    ).mean(dim=0)


def _mean(scores: Scores, function: Callable[[Tensor], Tensor]) -> Tensor:
    scales = [scores] if isinstance(scores, Tensor) else list(scores)
    return torch.stack([function(scale.float()).mean() for scale in scales]).mean()
