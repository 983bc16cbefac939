"""Stage 2: the encoder, which finds the latent code that renders a slice, whatever the slice's contrast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F

from monai_semgan.data.sampler import StepSampler
from monai_semgan.errors import SemganError
from monai_semgan.inversion.objectives.base import slice_mean
from monai_semgan.inversion.objectives.l1_features import L1FeatureObjective
from monai_semgan.losses.label_losses import MaskedDiceCELoss
from monai_semgan.networks import JointGenerator, JointSample, LatentEncoder
from monai_semgan.slicing.encoding import UNLABELLED
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from monai_semgan.training.augmentation.paired import PairedAugmentation
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.image_quality import FrozenFeatures
from monai_semgan.training.labelled_sampler import LabelledSampler
from monai_semgan.training.pair_pool import PairPool, PoolSettings
from monai_semgan.training.pretrained import build_image_discriminator, frozen
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import TrainedGenerator, register_stage
from monai_semgan.training.validation import patient_dice, summary
from monai_semgan.utils.device import autocast
from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder's training.

    A batch holds generated pairs with known code, labelled real slices, and real slices without label.

    Args:
        batch_size: images per step and process.
        learning_rate: highest learning rate of AdamW.
        weight_decay: of AdamW.
        generated_fraction: share of generated pairs in a batch.
        labelled_fraction: share of labelled slices, where there are any.
        organ_fraction: share of slices with an organ among the labelled ones.
        contrast_probability: share of the inputs that get a random contrast; targets stay clean.
        geometry: how far real slices are rotated, scaled and shifted, as a share of what the student's are. More than
            a little makes targets that the generator cannot render.
        render_size: size at which reconstructions are compared; 0 for the full size. Half of it is three times faster.
        refinement_passes: passes of the encoder, each trained; those after the first see the rendering before them.
        channels: channels of the encoder by level.
        grid: edge length to which the encoder's coarsest map is pooled.
        feature_weight: weight of the features beside the grey values.
        label_weight: weight of cross-entropy + Dice of the labels that the code renders.
        latent_weight: weight of the squared distance to the known code, in standard deviations.
        prior_weight: weight of the squared distance to the mean code, in standard deviations, of real slices.
        ema_images: half-life of the averaged weights in images.
        pool_chunk: generated pairs rendered at a time.
        pool_chunks: chunks in stock.
        pool_refresh: steps between two chunks.
        truncation: lower end of the truncation of generated pairs.
        mixing: share of generated pairs with style mixing.
    """

    batch_size: int = 12
    learning_rate: float = 6e-4
    weight_decay: float = 1e-4
    generated_fraction: float = 0.34
    labelled_fraction: float = 0.42
    organ_fraction: float = 0.75
    contrast_probability: float = 0.7
    geometry: float = 0.3
    render_size: int = 0
    refinement_passes: int = 1
    channels: Sequence[int] = (16, 48, 96, 160, 192)
    grid: int = 8
    feature_weight: float = 0.2
    label_weight: float = 0.5
    latent_weight: float = 0.2
    prior_weight: float = 0.002
    ema_images: float = 8_000.0
    pool_chunk: int = 64
    pool_chunks: int = 32
    pool_refresh: int = 16
    truncation: float = 0.7
    mixing: float = 0.3

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("batch_size", "refinement_passes", "grid", "pool_chunk", "pool_chunks", "pool_refresh"),
            positive=("learning_rate", "ema_images"),
            not_negative=("weight_decay", "geometry", "render_size", "feature_weight", "label_weight", "latent_weight")
            + ("prior_weight",),
            shares=("generated_fraction", "labelled_fraction", "organ_fraction", "contrast_probability", "truncation")
            + ("mixing",),
        )


class Batch(NamedTuple):
    """What the encoder learns from in one step; generated pairs come first.

    Attributes:
        source: contrast-randomised input (N, C, H, W).
        image: clean target (N, C, H, W).
        label: (N, H, W), 255 where unknown.
        latents: W+ (n, L, D) of the generated ones.
    """

    source: torch.Tensor
    image: torch.Tensor
    label: torch.Tensor
    latents: torch.Tensor


def gentler(augmentation: PairedAugmentation, share: float) -> PairedAugmentation:
    """The augmentation with every range cut down to `share` of it."""
    low, high = augmentation.scale
    return dataclasses.replace(
        augmentation,
        rotation=augmentation.rotation * share,
        scale=(low**share, high**share),
        stretch=augmentation.stretch * share,
        shift=augmentation.shift * share,
        elastic=augmentation.elastic * share,
    )


@register_stage("encoder", EncoderSettings, share=0.2, position=1)
class EncoderStage(Stage):
    """Train the encoder through a frozen generator.

    Args:
        context: data, device and seed.
        settings: see `EncoderSettings`.
        generator: the joint generator; its weights are not changed.
    """

    @staticmethod
    def build(
        context: StageContext, settings: EncoderSettings, generator: Callable[[], TrainedGenerator]
    ) -> tuple[EncoderStage, dict[str, Any]]:
        """Make the stage, and tell what the record says of its networks."""
        trained = generator()
        if trained.network is None:
            raise SemganError("the encoder needs a generator", remedy="run `semgan train gan` first or give --init")
        return EncoderStage(context, settings, trained.network), {"resample_filter": list(trained.resample_filter)}

    def __init__(self, context: StageContext, settings: EncoderSettings, generator: JointGenerator) -> None:
        super().__init__(context, settings.batch_size)
        self.settings = settings
        self.generator = frozen(generator, context.device)
        encoder = LatentEncoder(
            generator.image_channels,
            generator.num_latents,
            generator.latent_dim,
            tuple(settings.channels),
            settings.grid,
            refinement_passes=settings.refinement_passes,
        ).to(context.device)
        self.networks["encoder"] = encoder
        self.averages["encoder"] = MovingAverage(encoder, settings.ema_images)
        self.optimisers["encoder"] = torch.optim.AdamW(
            encoder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.base_rates["encoder"] = settings.learning_rate
        self.render_size = settings.render_size or context.size
        self.latent_std = self._latent_spread()
        self.objective = L1FeatureObjective(self._feature_network(), feature_weight=settings.feature_weight)
        self.label_loss = MaskedDiceCELoss()
        self.paired = gentler(PairedAugmentation(), settings.geometry)
        self.contrast = ContrastRandomisation(tied_labels=context.tied_labels)
        self._divide_batch()
        self.scores: dict[str, list[float]] = {}
        self.load_pretrained(context.initial)

    def _latent_spread(self) -> torch.Tensor:
        """Standard deviation of w (D,)."""
        source = torch.Generator().manual_seed(0)
        z = torch.randn(4096, self.generator.latent_dim, generator=source)
        with torch.no_grad():
            return self.generator.mapping(z.to(self.context.device)).std(0).clamp_min(1e-3)

    def _feature_network(self) -> Any:
        """Features to compare: the image discriminator's where there is one for this size, else frozen random ones."""
        context = self.context
        discriminator = build_image_discriminator(context.initial, context.size)
        if discriminator is not None and self.render_size == context.size:
            return discriminator.to(context.device).features
        return FrozenFeatures(self.generator.image_channels).to(context.device)

    def _divide_batch(self) -> None:
        context, settings = self.context, self.settings
        labelled = len(context.slices.labelled_indices) > 0
        self.generated = round(settings.batch_size * settings.generated_fraction)
        rest = settings.batch_size - self.generated
        with_label = min(rest, round(settings.batch_size * settings.labelled_fraction)) if labelled else 0
        unlabelled = rest - with_label
        self.samplers: list[LabelledSampler | StepSampler] = []
        if with_label > 0:
            fraction = settings.organ_fraction
            self.samplers.append(LabelledSampler(context.slices, with_label, fraction, context.seed, context.workers))
        if unlabelled > 0:
            indices, workers = context.slices.unlabelled_indices, context.workers
            self.samplers.append(StepSampler(indices, unlabelled, context.seed + 2, workers.rank, workers.size))
        pool = PoolSettings(
            settings.pool_chunk,
            settings.pool_chunks,
            settings.pool_refresh,
            settings.truncation,
            settings.mixing,
            mixed_precision=context.mixed_precision,
        )
        self.pool = PairPool(self.generator, context.seed, context.workers.rank, context.device, pool)

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step. Generated pairs are not moved: their code would no longer be theirs."""
        context = self.context
        pairs = self.pool.draw(step, self.generated)
        source = step_generator(context.seed, context.workers.rank, step, "augment", context.device)
        images, labels = [pairs.image], [pairs.label]
        if self.samplers:
            indices = torch.cat([sampler.batch(step) for sampler in self.samplers])
            image, label = self.paired(*context.slices.batch(indices, context.device), source)
            images.append(image)
            labels.append(cast("torch.Tensor", label))
        image, label = torch.cat(images), torch.cat(labels)
        chosen = torch.rand(len(image), generator=source, device=context.device) < self.settings.contrast_probability
        randomised = torch.where(chosen[:, None, None, None], self.contrast(image, label, source), image)
        return Batch(randomised, image, label, pairs.latents)

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of AdamW on reconstruction, labels and known codes, over all refinement passes."""
        encoder = cast("LatentEncoder", self.networks["encoder"].train())
        batch = self.batch(step)
        targets = self._targets(batch)
        self.optimisers["encoder"].zero_grad(set_to_none=True)
        latents = self.generator.broadcast(self.generator.mean_latent[None]).expand(len(batch.source), -1, -1)
        rendering: torch.Tensor | None = None
        logs: dict[str, torch.Tensor] = {}
        for number in range(self.settings.refinement_passes):
            if number > 0:
                with torch.no_grad(), autocast(self.context.device, self.context.mixed_precision):
                    rendering = self.generator.synthesis(latents).image
            with autocast(self.context.device, self.context.mixed_precision):
                latents = encoder(batch.source, latents.detach(), rendering)
                sample = self.generator.synthesis(latents, size=self.render_size)
            logs = self._losses(sample, latents, batch, targets)
            logs["loss"].backward()
        self.optimizer_step("encoder", encoder.parameters(), max_norm=5.0)
        self.update_averages(step)
        return {name: value.detach() for name, value in logs.items()}

    def _targets(self, batch: Batch) -> tuple[dict[str, Any], torch.Tensor]:
        """Prepared reconstruction targets and labels at the rendering's size."""
        factor = self.context.size // self.render_size
        image = F.avg_pool2d(batch.image, factor) if factor > 1 else batch.image
        offset = factor // 2
        return self.objective.prepare(image), batch.label[:, offset::factor, offset::factor]

    def _losses(
        self, sample: JointSample, latents: torch.Tensor, batch: Batch, targets: tuple[dict[str, Any], torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        settings, known = self.settings, len(batch.latents)
        every = torch.arange(len(latents), device=latents.device)
        deviation = (latents.float() - self.generator.mean_latent) / self.latent_std
        error = (latents[:known].float() - batch.latents) / self.latent_std
        zero = latents.new_zeros(())
        parts = {
            "reconstruction": self.objective(sample.image, targets[0], every).mean(),
            "label": self.label_loss(sample.logits, targets[1]),
            "latent": slice_mean(error.square()).mean() if known else zero,
            "prior": slice_mean(deviation[known:].square()).mean() if known < len(latents) else zero,
        }
        loss = parts["reconstruction"] + settings.label_weight * parts["label"]
        loss = loss + settings.latent_weight * parts["latent"] + settings.prior_weight * parts["prior"]
        return {"loss": loss, **parts}

    @torch.no_grad()
    def render(self, image: torch.Tensor) -> JointSample:
        """What the averaged encoder makes of images (N, C, H, W)."""
        encoder = cast("LatentEncoder", self.averages["encoder"].network)
        with autocast(self.context.device, self.context.mixed_precision):
            return self.generator.synthesis(encoder.encode(image, self.generator))

    def evaluate(self, final: bool) -> dict[str, float]:
        """Patient-level Dice of the rendered labels, and the reconstruction error, on the validation volumes.

        Before the end only every fourth slice is looked at.
        """
        context = self.context
        if context.validation is None:
            return {}
        errors: list[torch.Tensor] = []

        def segment(image: torch.Tensor) -> torch.Tensor:
            sample = self.render(image)
            errors.append(slice_mean((sample.image - image).abs()).cpu())
            return sample.logits

        every = 1 if final else 4
        self.scores = patient_dice(segment, context.validation, context.device, context.num_classes, 16, every)
        return {**summary(self.scores), "l1": round(float(torch.cat(errors).mean()), 4)}

    def details(self) -> dict[str, Any]:
        """Dice of every validation patient and organ, where features come from, and how many pairs were believed."""
        features = "random" if isinstance(self.objective.features_fn, FrozenFeatures) else "image discriminator"
        plausible_pairs = round(self.pool.acceptance, 4)
        return {"validation_dice": self.scores, "features": features, "plausible_pairs": plausible_pairs}

    def image_grid(self) -> np.ndarray:
        """Rows: inputs, clean targets with labels, reconstructions, and these with the rendered labels."""
        batch = self.batch(0)
        sample = self.render(batch.source)
        label = torch.where(batch.label == UNLABELLED, 0, batch.label)
        rows = [
            (batch.source, None),
            (batch.image, label),
            (sample.image, None),
            (sample.image, sample.logits.argmax(1)),
        ]
        return image_grid([picture(image, ids) for image, ids in rows])
