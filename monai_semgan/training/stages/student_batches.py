"""What the student learns from in a step: labelled slices, slices without label, and generated pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch

from monai_semgan.data.sampler import StepSampler
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import JointGenerator
from monai_semgan.training.augmentation.colour import randomisation_for
from monai_semgan.training.augmentation.paired import PairedAugmentation
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.training.labelled_sampler import LabelledSampler
from monai_semgan.training.pair_pool import PairPool, PoolSettings
from monai_semgan.training.pretrained import frozen
from monai_semgan.training.pseudo_labels import fill_unknown, partial_rows
from monai_semgan.training.stages.stage import StageContext
from monai_semgan.training.stages.student_settings import StudentSettings

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Clean images `(N, C, H, W)` to labels `(N, H, W)`, 255 where it is not sure."""


class StudentBatches:
    """Draw the batches of the student's training; a batch depends on seed, process, step, progress and teacher alone.

    Args:
        context: data, device and seed.
        settings: see `StudentSettings`.
        generator: joint generator of the generated pairs, or None.

    Attributes:
        generated: generated pairs in a batch, its last images.
        labelled: the other images of a batch.
        unlabelled: how many of these are unlabelled slices, its first images, once these have begun.
        pool: of generated pairs, or None.
        progress: of the training, in [0, 1]; tells when unlabelled slices begin.
    """

    def __init__(self, context: StageContext, settings: StudentSettings, generator: JointGenerator | None) -> None:
        self.context, self.settings = context, settings
        self.paired = PairedAugmentation()
        self.contrast = randomisation_for(context.slices.images.shape[1], context.tied_labels)
        self.progress = 0.0
        self.images_only = settings.keep_weight > 0  # of pairs: what their labels say would be new
        self._divide(generator is not None)
        self.pool = self._pair_pool(generator) if generator is not None and self.generated > 0 else None

    def _divide(self, with_pairs: bool) -> None:
        """Decide how many slices of which kind a batch holds, before and after unlabelled slices begin."""
        context, settings = self.context, self.settings
        self.generated = round(settings.batch_size * settings.generated_fraction) if with_pairs else 0
        self.labelled = settings.batch_size - self.generated
        indices = torch.nonzero(context.slices.labels[:, 0, 0] == UNLABELLED)[:, 0]
        self.unlabelled = 0
        if settings.consistency and len(indices) > 0:
            wanted = round(settings.batch_size * settings.unlabelled_fraction)
            self.unlabelled = max(0, min(wanted, self.labelled - 1))
        self.sampler = self._labelled_sampler(self.labelled)
        if self.unlabelled > 0:
            self.fewer_labelled = self._labelled_sampler(self.labelled - self.unlabelled)
            rank, size = context.workers.rank, context.workers.size
            self.unlabelled_sampler = StepSampler(indices, self.unlabelled, context.seed + 2, rank, size)

    def _labelled_sampler(self, count: int) -> LabelledSampler:
        context = self.context
        return LabelledSampler(context.slices, count, self.settings.organ_fraction, context.seed, context.workers)

    def _pair_pool(self, generator: JointGenerator) -> PairPool:
        context, settings = self.context, self.settings
        pool = PoolSettings(
            settings.pool_chunk,
            settings.pool_chunks,
            settings.pool_refresh,
            settings.truncation,
            mixed_precision=context.mixed_precision,
        )
        generator, rank = frozen(generator, context.device), context.workers.rank
        return PairPool(generator, context.seed, rank, context.device, pool, lambda: context.should_stop())

    def leave_out_pairs(self) -> None:
        """Draw from now on as if there were no generator."""
        self.pool = None
        self._divide(with_pairs=False)

    @property
    def with_unlabelled(self) -> bool:
        """Whether batches hold unlabelled slices now."""
        return self.unlabelled > 0 and self.progress >= self.settings.consistency_from

    def draw(self, step: int, teacher: Teacher | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw augmented images and labels of a step; unlabelled slices first, generated pairs last.

        Args:
            step: from 0.
            teacher: labels clean slices, where labels are missing; without one these stay unknown.

        Returns:
            Images `(N, C, H, W)`, of which a share has other contrasts, and labels `(N, H, W)`, 255 where unknown.
        """
        context = self.context
        images, labels = [], []
        for sampler in self._samplers():
            image, label = context.slices.batch(sampler.batch(step), context.device)
            images.append(image)
            labels.append(label)
        if self.pool is not None:
            pairs = self.pool.draw(step, self.generated)
            images.append(pairs.image)
            labels.append(torch.full_like(pairs.label, UNLABELLED) if self.images_only else pairs.label)
        source = step_generator(context.seed, context.workers.rank, step, "augment", context.device)
        image, moved = self.paired(torch.cat(images), torch.cat(labels), source)
        label = cast("torch.Tensor", moved)
        if teacher is not None:
            label = self._taught(image, label, self.known(step), teacher)
        return (self._randomised(image, label, source) if self.settings.contrast else image), label

    def known(self, step: int) -> torch.Tensor | None:
        """Which classes the labels of a step's batch know (N, K); None where all training labels know everything."""
        context = self.context
        if not context.slices.partly_labelled:
            return None
        real = [context.slices.known_classes(sampler.batch(step), context.device) for sampler in self._samplers()]
        pairs = torch.ones(self.generated, context.num_classes, dtype=torch.bool, device=context.device)
        return torch.cat([*real, pairs])

    def _samplers(self) -> list[LabelledSampler | StepSampler]:
        """Who draws the real slices of a batch now."""
        if self.with_unlabelled:
            return [self.unlabelled_sampler, self.fewer_labelled]
        return [self.sampler] if self.labelled > 0 else []

    def _taught(
        self, image: torch.Tensor, label: torch.Tensor, known: torch.Tensor | None, teacher: Teacher
    ) -> torch.Tensor:
        """Let the teacher label unlabelled slices, and fill labels that know some classes only.

        Both begin once it has learnt enough.
        """
        if self.with_unlabelled:
            label = torch.cat([teacher(image[: self.unlabelled]), label[self.unlabelled :]])
        if known is None or not self.settings.consistency or self.progress < self.settings.consistency_from:
            return label
        rows = partial_rows(known)
        if len(rows) == 0:
            return label
        return label.index_copy(0, rows, fill_unknown(label[rows], known[rows], teacher(image[rows])))

    def _randomised(self, image: torch.Tensor, label: torch.Tensor, source: torch.Generator) -> torch.Tensor:
        """Give some of the images another contrast."""
        chosen = torch.rand(len(image), generator=source, device=image.device) < self.settings.contrast_probability
        randomised = self.contrast(image, label, source)
        return torch.where(chosen[:, None, None, None], randomised, image)
