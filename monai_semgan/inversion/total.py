"""What an inversion minimises: one number per slice, in which no slice of the batch meets another."""

from __future__ import annotations

from typing import Any

import torch

from monai_semgan.inversion.guidance import LabelGuidance
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.inversion.objectives.base import ReconstructionObjective, WeightedSum
from monai_semgan.inversion.prior import LatentPrior
from monai_semgan.inversion.renderings import KnownRenderings
from monai_semgan.losses.label_losses import PixelConstraints
from monai_semgan.networks import JointSample, Latent
from monai_semgan.utils.device import autocast


class SliceObjective:
    """Add reconstruction, prior, pull to the start and to the neighbours, guidance and constraints.

    Args:
        renderings: latents to image and logits.
        reconstruction: distance of renderings from the slices.
        state: what `reconstruction.prepare` made of the slices.
        prior: statistics of the latent space.
        start: latents at the start.
        settings: weights of the parts.
        guidance: soft labels, or None.
        constraints: pixels whose label is known, or None.
    """

    def __init__(
        self,
        renderings: KnownRenderings,
        reconstruction: ReconstructionObjective,
        state: Any,
        prior: LatentPrior,
        start: Latent,
        settings: InversionSettings,
        guidance: LabelGuidance | None = None,
        constraints: PixelConstraints | None = None,
    ) -> None:
        self.renderings = renderings
        self.reconstruction, self.state = reconstruction, state
        self.prior = prior
        self.start = prior.whiten(start) if settings.start_weight > 0 else None
        self.settings = settings
        self.guidance = guidance if settings.label_weight > 0 else None
        self.constraints = constraints

    def __call__(self, latents: Latent, index: torch.Tensor, whole: Latent) -> torch.Tensor:
        """Evaluate latents.

        Args:
            latents: of n slices.
            index: `(n,)` which slices of the volume they are.
            whole: latents of all slices, from the step before; not differentiated.

        Returns:
            `(n,)`, differentiable in `latents`.
        """
        settings = self.settings
        searching = settings.steps > 0  # what is only evaluated has been rendered in full precision, or will be
        with autocast(latents.device, settings.mixed_precision and searching):
            sample = self.renderings(latents, index)
            probabilities = sample.logits.softmax(1) if self.reconstruction.uses_probabilities else None
            loss = self.reconstruction(sample.image, self.state, index, probabilities).float()
        if self.guidance is not None:
            loss = loss + settings.label_weight * self.guidance(sample.logits, index)
        if self.constraints is not None:
            loss = loss + self.constraints.loss(sample.logits, index)
        return loss + self._regularise(latents, index, whole)

    @property
    def adapts(self) -> bool:
        """Tell whether the slices share something that is fitted to their renderings."""
        return _adapts(self.reconstruction)

    def refit(self, sample: JointSample) -> None:
        """Fit what the slices share to the renderings of all of them."""
        probabilities = sample.logits.softmax(1) if self.reconstruction.uses_probabilities else None
        self.reconstruction.refit(sample.image, self.state, probabilities)

    def _regularise(self, latents: Latent, index: torch.Tensor, whole: Latent) -> torch.Tensor:
        settings = self.settings
        whitened = self.prior.whiten(latents)
        loss = settings.prior_weight * self.prior.length(whitened)
        if settings.spread_weight > 0:
            loss = loss + settings.spread_weight * self.prior.spread(whitened)
        if self.start is not None:
            loss = loss + settings.start_weight * self.prior.distance(whitened, self.start[index])
        if settings.neighbour_weight > 0:
            beside = ((index - 1).clamp_min(0), (index + 1).clamp_max(len(whole) - 1))
            distance = sum(self.prior.distance(whitened, self.prior.whiten(whole[rows])) for rows in beside)
            loss = loss + settings.neighbour_weight * 0.5 * distance
        return loss


def _adapts(objective: ReconstructionObjective) -> bool:
    if isinstance(objective, WeightedSum):
        return any(_adapts(part) for part, _ in objective.parts)
    return type(objective).refit is not ReconstructionObjective.refit
