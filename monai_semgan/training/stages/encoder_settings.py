"""Settings of the encoder's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monai_semgan.errors import SemganError
from monai_semgan.utils.settings import check_channels, check_ranges, checked

Tune = Literal["none", "labels", "all"]
"""Which weights of the generator are trained with the encoder."""

EncoderTeacher = Literal["self", "student", "both"]
"""Who labels generated pairs and slices without label."""


@checked
@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder's training.

    A batch holds generated pairs with known W+, labelled real slices, and real slices without label.

    Args:
        batch_size: images per step and process.
        learning_rate: highest learning rate of AdamW.
        weight_decay: of AdamW.
        generated_fraction: share of generated pairs in a batch.
        labelled_fraction: share of labelled slices, where there are any.
        organ_fraction: share of slices with an organ among the labelled ones.
        contrast_probability: share of the inputs that get a random contrast; targets stay clean.
        geometry: how far real slices are rotated, scaled and shifted, as a share of what the student's are. Without
            spatial part, more than 0.3 makes targets that the generator cannot render.
        render_size: size at which reconstructions are compared; 0 for the full size. Half of it is three times faster.
        refinement_passes: passes of the encoder, each trained; those after the first see the rendering before them.
        channels: channels of the encoder by level.
        grid: edge length to which the encoder's coarsest map is pooled.
        spatial_size: edge length of the latent's spatial part, at most half of the image's; 0 for W+ alone.
        tune: weights of the generator that are trained with the encoder: `none`; `labels`, its label heads; `all`,
            everything but the mapping network and the strengths of the noise, at half the learning rate. `none` where
            no training volume is labelled.
        consistency: slices without label learn, in a random contrast, what the averaged networks are sure of on the
            clean slice.
        consistency_from: share of the training after which the averaged networks teach.
        confidence: probability that a class must exceed to teach.
        teacher: who labels these slices and the pairs of a generator that is tuned: the averaged networks (`self`), the
            student of `--init` (`student`), from the first step on, or the mean of both (`both`).
        search_steps: steps of a search on every latent, at which half of the label loss is taken; 0 for none. Each
            costs a rendering and its gradient.
        search_rate: learning rate of these steps.
        feature_weight: weight of the features beside the grey values.
        label_weight: weight of cross-entropy + Dice of the labels that the latent renders.
        latent_weight: weight of the squared distance to the known W+, in standard deviations.
        prior_weight: weight of the squared distance to the mean W+, in standard deviations, of real slices.
        spatial_weight: weight of the mean square of the spatial part.
        own_weight: weight of what the tuned generator makes of the generated pairs' W+ alone: their image, and their
            label. It keeps random samples good.
        ema_images: half-life of the averaged weights in images.
        pool_chunk: generated pairs rendered at a time.
        pool_chunks: chunks in stock.
        pool_refresh: steps between two chunks.
        truncation: lower end of the truncation of generated pairs.
        mixing: share of generated pairs with style mixing.

    Raises:
        SemganError: if a value makes no sense.
    """

    batch_size: int = 12
    learning_rate: float = 8e-4
    weight_decay: float = 1e-4
    generated_fraction: float = 0.25
    labelled_fraction: float = 0.5
    organ_fraction: float = 0.75
    contrast_probability: float = 0.7
    geometry: float = 1.0
    render_size: int = 0
    refinement_passes: int = 1
    channels: Sequence[int] = (16, 48, 96, 160, 192)
    grid: int = 8
    spatial_size: int = 16
    tune: Tune = "labels"
    consistency: bool = True
    consistency_from: float = 0.25
    confidence: float = 0.85
    teacher: EncoderTeacher = "self"
    search_steps: int = 0
    search_rate: float = 0.005
    feature_weight: float = 0.2
    label_weight: float = 1.0
    latent_weight: float = 0.2
    prior_weight: float = 0.002
    spatial_weight: float = 0.02
    own_weight: float = 0.5
    ema_images: float = 6_000.0
    pool_chunk: int = 64
    pool_chunks: int = 32
    pool_refresh: int = 16
    truncation: float = 0.7
    mixing: float = 0.3

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("batch_size", "refinement_passes", "grid", "pool_chunk", "pool_chunks", "pool_refresh"),
            positive=("learning_rate", "ema_images", "search_rate"),
            not_negative=("weight_decay", "geometry", "render_size", "spatial_size", "search_steps", "feature_weight")
            + ("label_weight", "latent_weight", "prior_weight", "spatial_weight", "own_weight"),
            shares=("generated_fraction", "labelled_fraction", "organ_fraction", "contrast_probability", "truncation")
            + ("mixing", "consistency_from", "confidence"),
        )
        check_channels(self, levels=3, multiple=8)
        size = self.spatial_size
        if size and (size < 4 or size & (size - 1)):
            remedy = "give a power of two from 4 on, or 0 for W+ alone"
            raise SemganError(f"the setting spatial_size cannot be {size}", remedy=remedy)
