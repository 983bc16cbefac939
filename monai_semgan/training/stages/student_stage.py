"""Stage 3: the student, a U-Net that learns from labelled scans and from generated pairs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from monai.losses import DiceCELoss

from monai_semgan.errors import SemganError
from monai_semgan.networks import JointGenerator, build_student
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from monai_semgan.training.augmentation.paired import PairedAugmentation
from monai_semgan.training.engine.ema import MovingAverage
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.labelled_sampler import LabelledSampler
from monai_semgan.training.pair_pool import PairPool, PoolSettings
from monai_semgan.training.pretrained import frozen
from monai_semgan.training.stages.stage import Stage, StageContext
from monai_semgan.training.stages.stage_registry import TrainedGenerator, register_stage
from monai_semgan.training.validation import patient_dice, summary
from monai_semgan.utils.device import autocast
from monai_semgan.utils.settings import check_ranges, checked

logger = logging.getLogger(__name__)


@checked
@dataclass(frozen=True)
class StudentSettings:
    """Settings of the student's training.

    With `contrast=False, generated_fraction=0` this is the plain U-Net baseline, with `generated_fraction=0` alone
    U-Net + contrast randomisation.

    Args:
        batch_size: images per step and process.
        learning_rate: highest learning rate of AdamW.
        weight_decay: of AdamW.
        contrast: randomise the contrast of the input.
        contrast_probability: share of the images that get a random contrast.
        generated_fraction: share of generated pairs in a batch; 0 without a generator.
        organ_fraction: share of slices with an organ among the labelled ones of a batch.
        channels: channels of the U-Net by level.
        ema_images: half-life of the averaged weights in images.
        pool_chunk: generated pairs rendered at a time.
        pool_chunks: chunks in stock.
        pool_refresh: steps between two chunks.
        truncation: lower end of the truncation of generated pairs.
    """

    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    contrast: bool = True
    contrast_probability: float = 0.8
    generated_fraction: float = 0.3
    organ_fraction: float = 0.67
    channels: Sequence[int] = (32, 64, 128, 192, 192)
    ema_images: float = 8_000.0
    pool_chunk: int = 64
    pool_chunks: int = 32
    pool_refresh: int = 16
    truncation: float = 0.7

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("batch_size", "pool_chunk", "pool_chunks", "pool_refresh"),
            positive=("learning_rate", "ema_images"),
            not_negative=("weight_decay",),
            shares=("contrast_probability", "generated_fraction", "organ_fraction", "truncation"),
        )


@register_stage("student", StudentSettings, share=0.2, labelled_only=True, position=2)
class StudentStage(Stage):
    """Train the student.

    Args:
        context: data, device and seed.
        settings: see `StudentSettings`.
        generator: frozen joint generator of the generated pairs, or None.

    Raises:
        SemganError: if no training slice is labelled.
    """

    @staticmethod
    def build(
        context: StageContext, settings: StudentSettings, generator: Callable[[], TrainedGenerator]
    ) -> tuple[StudentStage, dict[str, Any]]:
        """Make the stage, and tell what the record says of its networks."""
        trained = generator()
        if trained.network is None and settings.generated_fraction > 0:
            logger.warning("no generator in --init or in the run: the student learns from labelled scans alone")
        return StudentStage(context, settings, trained.network), {"resample_filter": list(trained.resample_filter)}

    def __init__(self, context: StageContext, settings: StudentSettings, generator: JointGenerator | None) -> None:
        super().__init__(context, settings.batch_size)
        self.settings = settings
        if len(context.slices.labelled_indices) == 0:
            raise SemganError("the student needs labelled training volumes", remedy="add labels to the data list")
        student = build_student(context.slices.images.shape[1], context.num_classes, tuple(settings.channels))
        student = student.to(context.device)
        self.networks["student"] = student
        self.averages["student"] = MovingAverage(student, settings.ema_images)
        self.optimisers["student"] = torch.optim.AdamW(
            student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.base_rates["student"] = settings.learning_rate
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
        self.paired = PairedAugmentation()
        self.contrast = ContrastRandomisation(tied_labels=context.tied_labels)
        self.generated = round(settings.batch_size * settings.generated_fraction) if generator is not None else 0
        self.sampler = LabelledSampler(
            context.slices, settings.batch_size - self.generated, settings.organ_fraction, context.seed, context.workers
        )
        self.pool = None
        if generator is not None and self.generated > 0:
            pool = PoolSettings(
                settings.pool_chunk,
                settings.pool_chunks,
                settings.pool_refresh,
                settings.truncation,
                mixed_precision=context.mixed_precision,
            )
            frozen_generator = frozen(generator, context.device)
            self.pool = PairPool(frozen_generator, context.seed, context.workers.rank, context.device, pool)
        self.scores: dict[str, list[float]] = {}
        self.load_pretrained(context.initial)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented images (N, C, H, W) and labels (N, H, W) of a step."""
        context = self.context
        images, labels = [], []
        if self.sampler.batch_size > 0:
            image, label = context.slices.batch(self.sampler.batch(step), context.device)
            images.append(image)
            labels.append(label)
        if self.pool is not None:
            pairs = self.pool.draw(step, self.generated)
            images.append(pairs.image)
            labels.append(pairs.label)
        source = step_generator(context.seed, context.workers.rank, step, "augment", context.device)
        image, moved = self.paired(torch.cat(images), torch.cat(labels), source)
        label = cast("torch.Tensor", moved)
        if self.settings.contrast:
            chosen = (
                torch.rand(len(image), generator=source, device=context.device) < self.settings.contrast_probability
            )
            randomised = self.contrast(image, label, source)
            image = torch.where(chosen[:, None, None, None], randomised, image)
        return image, label

    def step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of AdamW on Dice + cross-entropy."""
        student = self.networks["student"].train()
        image, label = self.batch(step)
        with autocast(self.context.device, self.context.mixed_precision):
            logits = student(image)
        loss = self.loss(logits.float(), label[:, None])
        self.optimisers["student"].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer_step("student", student.parameters(), max_norm=5.0)
        self.update_averages(step)
        return {"loss": loss.detach()}

    @torch.no_grad()
    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, K, H, W) of the averaged student."""
        with autocast(self.context.device, self.context.mixed_precision):
            return self.averages["student"].network(image).float()

    def evaluate(self, final: bool) -> dict[str, float]:
        """Patient-level Dice on the validation volumes."""
        context = self.context
        if context.validation is None:
            return {}
        self.scores = patient_dice(self.segment, context.validation, context.device, context.num_classes, batch=32)
        return summary(self.scores)

    def details(self) -> dict[str, Any]:
        """Dice of every validation patient and organ, and how many of the generator's pairs could be believed."""
        generated = {} if self.pool is None else {"plausible_pairs": round(self.pool.acceptance, 4)}
        return {"validation_dice": self.scores, **generated}

    def image_grid(self) -> np.ndarray:
        """Rows: an augmented training batch with its labels, and what the student makes of it."""
        image, label = self.batch(0)
        prediction = self.segment(image).argmax(1)
        return image_grid([picture(image), picture(image, label), picture(image, prediction)])
