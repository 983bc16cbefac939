"""Moves of latents: codes of slices that render the label which strokes ask for, and all else as before."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.inversion.adam import SliceAdam, learning_rate_factor
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.optimiser import ready_for_search
from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.losses.label_losses import PixelConstraints, soft_label_loss
from monai_semgan.networks import InversionSegmenter, Latent
from monai_semgan.networks.latent import chosen

PRIOR_WEIGHT, DECAY = InversionSettings.prior_weight, InversionSettings.decay
"""Of the length of a latent, and the part of the steps over which the learning rate falls, as inversions have them."""


@dataclass(frozen=True, eq=False)
class Move:
    """Hold a move of the latents of n slices.

    Attributes:
        before: `(n, K, H, W)` probabilities that the latents at the start render.
        after: `(n, K, H, W)` those at the end.
        end: latents at the end.
        failed: `(n,)` bool: slices in which a loss was no number; they end at their best.
    """

    before: torch.Tensor
    after: torch.Tensor
    end: Latent
    failed: torch.Tensor


class LatentMover:
    """Move latents until they render what strokes ask for.

    Args:
        network: with generator and encoder.
    """

    def __init__(self, network: InversionSegmenter) -> None:
        self.network = network
        self.prior = LatentPrior.from_network(network)

    def move(
        self, start: Latent, strokes: PixelConstraints, trust: torch.Tensor, steps: int, settings: CorrectionSettings
    ) -> Move:
        """Search from a start.

        Minimised are the cross-entropy under the strokes, the divergence from what the start renders, away from them,
        and the length of the latent. The slice itself has no say: in few steps it slows the move more than it guides.

        Args:
            start: latents of n slices.
            strokes: classes of pixels in these slices, and their weight.
            trust: `(n, H, W)` how much the label that the start renders is to be kept, 0 to 1.
            steps: updates.
            settings: step lengths, and the weight of what is to be kept.
        """
        rates = (settings.learning_rate, settings.spatial_learning_rate)
        rows = torch.arange(len(start), device=start.device)
        with ready_for_search(self.network):
            latent = start.clone().float()
            adams = [SliceAdam(part) for part in latent.parts]
            found: _Best | None = None
            for step in range(steps + 1):
                leaves = latent.map(lambda part: part.detach().clone().requires_grad_())
                logits = self.network.render(leaves).logits
                found = found or _Best(logits.detach().softmax(1), leaves)
                loss = self._loss(leaves, logits, found.first, strokes, trust, settings)
                found.record(loss.detach(), logits.detach(), leaves.clone())
                if step == steps:
                    break
                gradients = torch.autograd.grad(loss.sum(), leaves.parts)
                factor = learning_rate_factor(step, steps, 0.0, DECAY)
                for adam, gradient, rate in zip(adams, gradients, rates, strict=False):
                    adam.step(rows, gradient.nan_to_num(0.0, 0.0, 0.0), rate * factor)
        assert found is not None
        return Move(found.first, found.after, found.latent, found.failed)

    def _loss(
        self,
        latent: Latent,
        logits: torch.Tensor,
        before: torch.Tensor,
        strokes: PixelConstraints,
        trust: torch.Tensor,
        settings: CorrectionSettings,
    ) -> torch.Tensor:
        drawn = strokes.loss(logits, torch.arange(len(logits), device=logits.device))
        kept = settings.keep_weight * soft_label_loss(logits, before, trust)
        return drawn + kept + PRIOR_WEIGHT * self.prior.length(self.prior.whiten(latent))


class _Best:
    """Remember of every slice the latent with the least loss, and what it renders.

    Args:
        first: `(n, K, H, W)` probabilities at the start.
        start: latents there.
    """

    def __init__(self, first: torch.Tensor, start: Latent) -> None:
        self.first, self.after, self.latent = first, first, start.clone()
        self.least = torch.full((len(start),), torch.inf, device=start.device)
        self.failed = torch.zeros(len(start), dtype=torch.bool, device=start.device)

    def record(self, loss: torch.Tensor, logits: torch.Tensor, latent: Latent) -> None:
        """Look at the losses `(n,)` of all slices after an update; what is no number is never best."""
        better = loss < self.least
        self.failed |= ~loss.isfinite()
        self.least = torch.where(better, loss, self.least)
        self.after = torch.where(better[:, None, None, None], logits.softmax(1), self.after)
        self.latent = chosen(better, latent, self.latent)
