"""What the encoder's training minimises: differences of images, labels and known W+, and how far latents stray."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from monai_semgan.inversion.objectives.base import ReconstructionObjective, slice_mean
from monai_semgan.losses.label_losses import MaskedDiceCELoss
from monai_semgan.networks import JointSample, Latent
from monai_semgan.training.stages.encoder_batches import Batch
from monai_semgan.training.stages.encoder_settings import EncoderSettings

OWN_LABEL = 0.3
"""Weight of the label beside the image in what a tuned generator makes of generated pairs."""


class Targets(NamedTuple):
    """What renderings are compared with, at their size.

    Attributes:
        state: prepared images, see `ReconstructionObjective`.
        label: (N, H, W), 255 where unknown.
        image: clean images (N, C, H, W).
        source: contrast-randomised inputs (N, C, H, W).
        latents: W+ (n, L, D) of the first n, the generated pairs.
        known: (N, K) bool, which classes each label knows; None where all know everything.
    """

    state: dict[str, Any]
    label: torch.Tensor
    image: torch.Tensor
    source: torch.Tensor
    latents: torch.Tensor
    known: torch.Tensor | None = None


class EncoderLosses:
    """The losses of the encoder's training.

    Args:
        settings: see `EncoderSettings`.
        objective: compares images.
        factor: how many times smaller renderings are than slices.
        mean: latent (D,) that W+ of real slices is drawn to.
        spread: standard deviation (D,) of latents.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        objective: ReconstructionObjective,
        factor: int,
        mean: torch.Tensor,
        spread: torch.Tensor,
    ) -> None:
        self.settings, self.objective, self.factor = settings, objective, factor
        self.mean, self.spread = mean, spread
        self.label = MaskedDiceCELoss()

    def targets(self, batch: Batch) -> Targets:
        """Prepare what renderings of a batch are compared with."""
        factor, offset = self.factor, self.factor // 2
        image, source = (F.avg_pool2d(x, factor) if factor > 1 else x for x in (batch.image, batch.source))
        label = batch.label[:, offset::factor, offset::factor]
        return Targets(self.objective.prepare(image), label, image, source, batch.latents, batch.known)

    def of(self, sample: JointSample, latent: Latent, targets: Targets) -> dict[str, torch.Tensor]:
        """Compute the losses of what latents render, by name, before they are weighted."""
        known, zero = len(targets.latents), latent.w_plus.new_zeros(())
        every = torch.arange(len(latent), device=latent.device)
        deviation = (latent.w_plus.float() - self.mean) / self.spread
        error = (latent.w_plus[:known].float() - targets.latents) / self.spread
        return {
            "reconstruction": self.objective(sample.image, targets.state, every).mean(),
            "label": self.label(sample.logits, targets.label, targets.known),
            "latent": slice_mean(error.square()).mean() if known else zero,
            "prior": slice_mean(deviation[known:].square()).mean() if known < len(latent) else zero,
            "spatial": zero if latent.spatial is None else latent.spatial.float().square().mean(),
        }

    def weighted(self, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        """Add the losses of `of`, each with its weight."""
        settings = self.settings
        loss = losses["reconstruction"] + settings.label_weight * losses["label"]
        loss = loss + settings.latent_weight * losses["latent"] + settings.prior_weight * losses["prior"]
        return loss + settings.spatial_weight * losses["spatial"]

    def own(self, sample: JointSample, targets: Targets) -> torch.Tensor:
        """Compare what a tuned generator makes of the pairs' W+ alone with their images, and with their labels."""
        known = len(targets.latents)
        difference = (sample.image - targets.image[:known]).abs().mean()
        return difference + OWN_LABEL * self.label(sample.logits, targets.label[:known])
