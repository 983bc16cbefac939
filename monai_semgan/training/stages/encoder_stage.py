"""Stage 2: the encoder, which finds the latent that renders a slice, whatever the slice's contrast.

W+ says what a slice looks like, a spatial residual of the generator's trunk where things are. The generator's label
heads, which the GAN could teach no more than its generated labels, learn with the encoder from real ones (Ling et al.,
"EditGAN", NeurIPS 2021, for an image and its label from one latent).
"""

from __future__ import annotations

import logging
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.base import slice_mean
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.inversion.optimiser import constant
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import JointGenerator, JointSample, Latent, LatentEncoder, StudentUNet
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.image_quality import FrozenFeatures
from monai_semgan.training.pretrained import frozen, with_spatial_part
from monai_semgan.training.stages.encoder_batches import Batch, EncoderBatches, Teacher, batch_shares
from monai_semgan.training.stages.encoder_losses import EncoderLosses, Targets
from monai_semgan.training.stages.encoder_networks import compared_features, latent_spread, new_encoder
from monai_semgan.training.stages.encoder_settings import EncoderSettings, Tune
from monai_semgan.training.stages.label_heads import TUNED_RATE, copy_with_classes, tuned_parameters
from monai_semgan.training.stages.search_inside import search_offset
from monai_semgan.training.stages.spatial_spread import spatial_spread
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import GeneratorSource, register_stage
from monai_semgan.training.teachers import build_student_teacher
from monai_semgan.training.validation_check import ValidationCheck
from monai_semgan.utils.device import autocast

logger = logging.getLogger(__name__)

__all__ = ["EncoderSettings", "EncoderStage"]

LARGEST_GRADIENT = 5.0
"""Norm to which the gradients of encoder and generator together are clipped."""


def allowed_tuning(settings: EncoderSettings, context: StageContext) -> Tune:
    """Decide what is trained of the generator: nothing where no label would hold it."""
    return settings.tune if batch_shares(settings, context.slices).labelled > 0 else "none"


@register_stage("encoder", EncoderSettings, share=0.2, position=1)
class EncoderStage(Stage):
    """Train the encoder through a generator, and what is chosen of that generator with it.

    Generated pairs come from the generator as it was given, also while a copy of it is tuned.

    Args:
        context: data, device and seed.
        settings: see `EncoderSettings`.
        generator: the joint generator; its weights are not changed.
    """

    @staticmethod
    def build(
        context: StageContext, settings: EncoderSettings, generator: GeneratorSource
    ) -> tuple[EncoderStage, dict[str, Any]]:
        """Make the stage, and tell what the record says of its networks."""
        tune = allowed_tuning(settings, context)
        if tune != settings.tune:
            logger.warning("the encoder's batches hold no labelled slices: the generator stays as it is")
        trained = generator(any_classes=tune != "none")
        if trained.network is None:
            raise SemganError("the encoder needs a generator", remedy="run `semgan train gan` first or give --init")
        stage = EncoderStage(context, settings, trained.network)
        network = {"resample_filter": list(trained.resample_filter), "tune": tune}
        return stage, {**network, "spatial_size": stage.encoder.spatial_size}

    def __init__(self, context: StageContext, settings: EncoderSettings, generator: JointGenerator) -> None:
        super().__init__(context, settings.batch_size)
        self.settings = settings
        self.progress = 0.0
        self.tune = allowed_tuning(settings, context)
        self.original = frozen(generator, context.device)
        encoder = new_encoder(settings, self.original).to(context.device)
        self._add("encoder", encoder, list(encoder.parameters()), settings.learning_rate)
        if self.tune != "none":
            tuned = copy_with_classes(self.original, context.num_classes)
            rate = settings.learning_rate * TUNED_RATE[self.tune]
            self._add("generator", tuned, tuned_parameters(tuned, self.tune), rate)
        self.render_size = settings.render_size or context.size
        features = compared_features(context, self.render_size, self.original.image_channels)
        self.objective = L1FeatureObjective(features, feature_weight=settings.feature_weight)
        factor = context.size // self.render_size
        self.losses = EncoderLosses(
            settings, self.objective, factor, self.original.mean_latent, latent_spread(self.original)
        )
        self.batches = EncoderBatches(context, settings, self.original, self.tune != "none")
        self.student = None if settings.teacher == "self" else self._student()
        self.check = ValidationCheck(self)
        self.pictured: Batch | None = None
        self.sure, self.taught = torch.zeros((), device=context.device), 0
        given = {name: tensor for name, tensor in context.initial.items() if name.startswith("encoder.")}
        self.load_pretrained(with_spatial_part(given, encoder))

    def _student(self) -> StudentUNet:
        context = self.context
        return build_student_teacher(context.initial, context.num_classes, context.device)

    def _add(self, name: str, network: nn.Module, parameters: list[nn.Parameter], rate: float) -> None:
        """Train a network's parameters, and average its weights."""
        self.networks[name] = network
        self.averages[name] = MovingAverage(network, self.settings.ema_images)
        fused = self.context.device.type == "cuda"
        self.optimisers[name] = torch.optim.AdamW(
            parameters, lr=rate, weight_decay=self.settings.weight_decay, fused=fused
        )
        self.base_rates[name] = rate

    @property
    def encoder(self) -> LatentEncoder:
        """The encoder in training."""
        return cast("LatentEncoder", self.networks["encoder"])

    @property
    def generator(self) -> JointGenerator:
        """The generator that renders in training: the tuned one, or the one that was given."""
        return cast("JointGenerator", self.networks.get("generator", self.original))

    def set_rate(self, fraction: float, scale: float = 1.0) -> None:
        """Set the learning rates for a progress in [0, 1], and remember it: the averaged networks teach late."""
        self.progress = fraction
        super().set_rate(fraction, scale)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave; a generator that was not tuned before begins as it was given.

        Raises:
            SemganError: if it is of latents with a spatial part and this is not, or the other way round.
        """
        if ("to_spatial.weight" in state["networks"]["encoder"]) != (self.encoder.spatial_channels > 0):
            remedy = "choose spatial_size as in that run (0 for those of 0.2), or start another run with --init"
            raise SemganError("the run was begun with latents of other parts", remedy=remedy)
        own = self.state_dict()
        kinds = ("networks", "averages", "optimisers")
        super().load_state_dict({**state, **{kind: {**own[kind], **state[kind]} for kind in kinds}})

    def parts(self) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
        """Weights to keep, with the spread of the spatial part measured for the averaged encoder."""
        self.measure_spread()
        return super().parts()

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step."""
        return self.batches.draw(step, self._teacher())

    def _teacher(self) -> Teacher | None:
        """Who teaches now: a student at any time, the averaged networks once they have learnt enough."""
        kind, late = self.settings.teacher, self.progress >= self.settings.consistency_from
        if kind == "self":
            return self._rendered if late else None
        if kind == "both" and late:
            return lambda image: 0.5 * (self._rendered(image) + self._by_student(image))
        return self._by_student

    def _rendered(self, image: torch.Tensor) -> torch.Tensor:
        return self.render(image).logits.float().softmax(dim=1)

    @torch.no_grad()
    def _by_student(self, image: torch.Tensor) -> torch.Tensor:
        with autocast(self.context.device, self.context.mixed_precision):
            return cast("nn.Module", self.student)(image).float().softmax(dim=1)

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of AdamW on images, labels and known W+, over all refinement passes."""
        for network in self.networks.values():
            network.train()
        batch = self.batch(step)
        self.pictured = self.pictured or batch
        targets = self.losses.targets(batch)
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        logs = self._encode(batch.source, targets)
        if self.tune != "none" and len(batch.latents) and self.settings.own_weight > 0:
            logs["own"] = self.losses.own(self._synthesis(Latent(batch.latents)), targets)
            (self.settings.own_weight * logs["own"]).backward()
        parameters = [p for network in self.networks.values() for p in network.parameters() if p.requires_grad]
        self.optimizer_step(list(self.optimisers), parameters, LARGEST_GRADIENT)
        self.update_averages(step)
        if batch.sure is not None:
            self.sure, self.taught = self.sure + batch.sure, self.taught + 1
            logs["sure"] = batch.sure
        return {name: value.detach() for name, value in logs.items()}

    def _encode(self, source: torch.Tensor, targets: Targets) -> dict[str, torch.Tensor]:
        """All passes of the encoder, each with its gradients; the losses of the last."""
        logs: dict[str, torch.Tensor] = {}
        latent = self.encoder.start(self.generator, len(source))
        for number in range(self.settings.refinement_passes):
            latent = latent.map(torch.Tensor.detach)
            rendering: torch.Tensor | None = None
            if number > 0:
                with torch.no_grad():
                    rendering = self._synthesis(latent, size=0).image
            with autocast(self.context.device, self.context.mixed_precision):
                latent = self.encoder(source, latent, rendering)
            logs = self.losses.of(self._synthesis(latent), latent, targets)
            if self.settings.search_steps > 0 and number == self.settings.refinement_passes - 1:
                logs["label"] = 0.5 * (logs["label"] + self._searched_loss(latent, targets))
            logs["loss"] = self.losses.weighted(logs)
            logs["loss"].backward()
        return logs

    def _synthesis(self, latent: Latent, size: int | None = None) -> JointSample:
        """Render latents, at the size at which renderings are compared."""
        with autocast(self.context.device, self.context.mixed_precision):
            pixels = self.render_size if size is None else size
            return self.generator.synthesis(latent.w_plus, latent.spatial, size=pixels)

    def _searched_loss(self, latent: Latent, targets: Targets) -> torch.Tensor:
        """Label loss where a short search from the latents ends: the encoder learns where to begin one."""
        settings = self.settings
        with constant(self.generator):
            found = search_offset(
                lambda latent: self._synthesis(latent).image,
                latent,
                targets.source,
                self.objective,
                settings.search_steps,
                settings.search_rate,
            )
        parts = zip(latent.float().parts, found.parts, strict=True)
        moved = Latent(*(part + offset for part, offset in parts))
        return self.losses.label(self._synthesis(moved).logits, targets.label, targets.known)

    def _averaged(self) -> tuple[LatentEncoder, JointGenerator]:
        encoder = cast("LatentEncoder", self.averages["encoder"].network)
        average = self.averages.get("generator")
        return encoder, self.original if average is None else cast("JointGenerator", average.network)

    @torch.no_grad()
    def render(self, image: torch.Tensor) -> JointSample:
        """What the averaged networks make of images (N, C, H, W)."""
        encoder, generator = self._averaged()
        with autocast(self.context.device, self.context.mixed_precision):
            latent = encoder.encode(image, generator)
            return generator.synthesis(latent.w_plus, latent.spatial)

    @torch.no_grad()
    def measure_spread(self) -> None:
        """Set `spatial_scale` of the averaged encoder: standard deviation of the spatial part on training slices."""
        encoder, generator = self._averaged()
        if encoder.spatial_channels == 0:
            return
        context = self.context
        spread = spatial_spread(encoder, generator, context.slices, context.device, context.mixed_precision)
        encoder.spatial_scale.copy_(spread)

    def evaluate(self, final: bool) -> dict[str, float]:
        """Patient-level Dice of the rendered labels, and the reconstruction error, on the validation volumes.

        Before the end as many slices are looked at as there is time for.
        """
        errors: list[torch.Tensor] = []

        def segment(image: torch.Tensor) -> torch.Tensor:
            sample = self.render(image)
            errors.append(slice_mean((sample.image - image).abs()).cpu())
            return sample.logits

        found = self.check(segment, 16, final, self.check_seconds)
        return {**found, "l1": round(float(torch.cat(errors).mean()), 4)} if found else {}

    def final_check_seconds(self) -> float:
        """How long the validation of all slices will take."""
        return self.check.full_seconds

    def worst_slices(self) -> np.ndarray | None:
        """The worst validation slices: images, references, predictions."""
        return self.check.picture()

    def details(self) -> dict[str, Any]:
        """What the scores do not tell.

        Dice of every validation patient and organ, where features come from, how many pairs were believed, and of how
        many pixels without label the averaged networks were sure.
        """
        features = "random" if isinstance(self.objective.features_fn, FrozenFeatures) else "image discriminator"
        details = {
            **self.check.details(),
            "features": features,
            "plausible_pairs": round(self.batches.pool.acceptance, 4),
        }
        if self.taught:
            details["sure_pixels"] = round(float(self.sure) / self.taught, 4)
        return details

    def image_grid(self) -> np.ndarray:
        """Rows: inputs, clean targets with labels, reconstructions, and these with the rendered labels."""
        batch = self.pictured or self.batch(0)  # the first batch of this process: one of its own takes seconds
        sample = self.render(batch.source)
        label = torch.where(batch.label == UNLABELLED, 0, batch.label)
        rows = [
            (batch.source, None),
            (batch.image, label),
            (sample.image, None),
            (sample.image, sample.logits.argmax(1)),
        ]
        return image_grid([picture(image, ids) for image, ids in rows])
