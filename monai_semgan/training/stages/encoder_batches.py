"""What the encoder learns from in a step: generated pairs, labelled slices, and slices without label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

import torch

from monai_semgan.data.sampler import StepSampler
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.networks import JointGenerator
from monai_semgan.training.augmentation.colour import randomisation_for
from monai_semgan.training.augmentation.paired import PairedAugmentation
from monai_semgan.training.engine.seeds import step_generator
from monai_semgan.training.labelled_sampler import LabelledSampler
from monai_semgan.training.pair_pool import PairPool, PoolSettings
from monai_semgan.training.pseudo_labels import fill_unknown, partial_rows, sure_labels, unlabelled_rows
from monai_semgan.training.stages.encoder_settings import EncoderSettings
from monai_semgan.training.stages.stage import StageContext

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Clean images `(N, C, H, W)` to probabilities `(N, K, H, W)`."""


class Batch(NamedTuple):
    """What the encoder learns from in one step; generated pairs come first.

    Attributes:
        source: contrast-randomised input (N, C, H, W).
        image: clean target (N, C, H, W).
        label: (N, H, W), 255 where unknown.
        latents: W+ (n, L, D) of the generated ones.
        sure: share of the pixels that a teacher was asked about and is sure of, a scalar; None without a teacher.
        known: (N, K) bool, which classes each label knows; None where all know everything.
    """

    source: torch.Tensor
    image: torch.Tensor
    label: torch.Tensor
    latents: torch.Tensor
    sure: torch.Tensor | None
    known: torch.Tensor | None = None


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


class Shares(NamedTuple):
    """How many images of a batch are of which kind.

    Attributes:
        generated: generated pairs.
        labelled: slices of labelled volumes, chosen as such.
        others: slices of all volumes.
    """

    generated: int
    labelled: int
    others: int


def batch_shares(settings: EncoderSettings, slices: SliceSet) -> Shares:
    """Divide a batch: what generated pairs and labelled slices leave of it is for slices without label."""
    generated = round(settings.batch_size * settings.generated_fraction)
    rest = settings.batch_size - generated
    labelled = min(rest, round(settings.batch_size * settings.labelled_fraction))
    if len(slices.labelled_indices) == 0:
        labelled = 0
    return Shares(generated, labelled, rest - labelled)


class EncoderBatches:
    """Draw the batches of the encoder's training; a batch depends on seed, process, step and teacher alone.

    Args:
        context: data, device and seed.
        settings: see `EncoderSettings`.
        generator: frozen generator of the pairs.
        tuned: whether a copy of it is trained with the encoder, so that its labels are no more the last word.
    """

    def __init__(
        self, context: StageContext, settings: EncoderSettings, generator: JointGenerator, tuned: bool
    ) -> None:
        self.context, self.settings, self.tuned = context, settings, tuned
        self.same_classes = generator.num_classes == context.num_classes
        self.paired = gentler(PairedAugmentation(), settings.geometry)
        self.contrast = randomisation_for(context.slices.images.shape[1], context.tied_labels)
        self.shares = batch_shares(settings, context.slices)
        self.samplers = self._samplers()
        pool = PoolSettings(
            settings.pool_chunk,
            settings.pool_chunks,
            settings.pool_refresh,
            settings.truncation,
            settings.mixing,
            mixed_precision=context.mixed_precision,
        )
        rank = context.workers.rank
        self.pool = PairPool(generator, context.seed, rank, context.device, pool, lambda: context.should_stop())

    def _samplers(self) -> list[LabelledSampler | StepSampler]:
        """What draws the real slices of a batch."""
        slices, seed, workers = self.context.slices, self.context.seed, self.context.workers
        samplers: list[LabelledSampler | StepSampler] = []
        if self.shares.labelled > 0:
            organs = self.settings.organ_fraction
            samplers.append(LabelledSampler(slices, self.shares.labelled, organs, seed, workers))
        if self.shares.others > 0:
            indices = slices.unlabelled_indices
            samplers.append(StepSampler(indices, self.shares.others, seed + 2, workers.rank, workers.size))
        return samplers

    def draw(self, step: int, teacher: Teacher | None = None) -> Batch:
        """Draw inputs and targets of a step. Generated pairs are not moved: their W+ would no longer be theirs."""
        context = self.context
        pairs = self.pool.draw(step, self.shares.generated)
        source = step_generator(context.seed, context.workers.rank, step, "augment", context.device)
        images, labels = [pairs.image], [self._pair_labels(pairs.label)]
        known: torch.Tensor | None = None
        if self.samplers:
            indices = torch.cat([torch.as_tensor(sampler.batch(step)) for sampler in self.samplers])
            image, label = self.paired(*context.slices.batch(indices, context.device), source)
            images.append(image)
            labels.append(cast("torch.Tensor", label))
            known = self._known(indices)
        image, label = torch.cat(images), torch.cat(labels)
        label, sure = (label, None) if teacher is None else self._taught(image, label, teacher, known)
        chosen = torch.rand(len(image), generator=source, device=context.device) < self.settings.contrast_probability
        randomised = torch.where(chosen[:, None, None, None], self.contrast(image, label, source), image)
        return Batch(randomised, image, label, pairs.latents, sure, known)

    def _known(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Which classes the labels of a batch know (N, K), those of its generated pairs first: these know all."""
        slices, device = self.context.slices, self.context.device
        if not slices.partly_labelled:
            return None
        real = slices.known_classes(indices, device)
        return torch.cat([real.new_ones(self.shares.generated, real.shape[1]), real])

    def _pair_labels(self, label: torch.Tensor) -> torch.Tensor:
        """What is known of generated labels (N, H, W) without a teacher.

        A tuned generator is to learn the organs that the old one misses, so that its background says nothing.
        """
        if not self.tuned:
            return label
        return torch.where(label == 0, UNLABELLED, label) if self.same_classes else torch.full_like(label, UNLABELLED)

    def _taught(
        self, image: torch.Tensor, label: torch.Tensor, teacher: Teacher, known: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Put what the teacher is sure of in place of the labels of generated pairs, and of slices without any.

        In labels that know some classes only, it fills in the others.
        """
        partial = partial_rows(known) if known is not None and self.settings.consistency else label.new_zeros(0)
        if known is not None and len(partial):
            taught, _ = sure_labels(teacher(image[partial]), self.settings.confidence)
            label = label.index_copy(0, partial, fill_unknown(label[partial], known[partial], taught))
        generated = self.shares.generated if self.tuned else 0
        rows = torch.arange(generated, device=label.device)
        if self.settings.consistency:
            rows = torch.cat([rows, generated + unlabelled_rows(label[generated:])])
        if len(rows) == 0:
            return label, None
        taught, sure = sure_labels(teacher(image[rows]), self.settings.confidence)
        return label.index_copy(0, rows, taught.to(label.dtype)), sure
