"""Settings of the student's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monai_semgan.utils.settings import check_channels, check_ranges, checked

Teacher = Literal["self", "rendering", "both"]
"""Who labels unlabelled slices."""

PairUse = Literal["measured", "always"]
"""Whether generated pairs must show first that they help."""


@checked
@dataclass(frozen=True)
class StudentSettings:
    """Settings of the student's training.

    With `generated_fraction=0, consistency=False` this is the baseline U-Net + contrast randomisation, with
    `contrast=False` as well the plain U-Net.

    Args:
        batch_size: images per step and process.
        learning_rate: highest learning rate of AdamW.
        weight_decay: of AdamW.
        contrast: randomise the contrast of the input.
        contrast_probability: share of the images that get a random contrast.
        generated_fraction: share of generated pairs in a batch; 0 without a generator.
        pairs: use generated pairs where a short trial before the first step says that they help (`measured`; see
            `training/pair_trial.py`), or in any case (`always`).
        organ_fraction: share of slices with an organ among the labelled ones of a batch.
        channels: channels of the U-Net by level.
        ema_images: half-life of the averaged weights in images.
        pool_chunk: generated pairs rendered at a time.
        pool_chunks: chunks in stock.
        pool_refresh: steps between two chunks.
        truncation: lower end of the truncation of generated pairs.
        consistency: learn from unlabelled slices too, where the training list has any: labels on the clean slice, where
            they are sure, teach the slice in a random contrast.
        consistency_from: share of the training that is over before unlabelled slices begin.
        unlabelled_fraction: share of unlabelled slices in a batch from then on, taken from the labelled ones, of which
            one at least remains.
        confidence: probability from which a label is sure.
        teacher: who labels the unlabelled slices: the averaged student (`self`), the encoder and the generator of
            `--init` or the run (`rendering`), or the mean of both (`both`).
        keep_weight: weight of the divergence from the student of `--init` on the same images, in what it knows, so that
            nothing is forgotten; it also takes the place of all teachers, and of the labels of generated pairs, whose
            generator may know fewer structures. 0 for none.
        known_rate: learning rate of all weights but those of the layers that have a channel for each class, as a share
            of theirs: a student that goes on with more classes has everything but their channels.
    """

    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    contrast: bool = True
    contrast_probability: float = 0.8
    generated_fraction: float = 0.3
    pairs: PairUse = "measured"
    organ_fraction: float = 0.67
    channels: Sequence[int] = (32, 64, 128, 192, 192)
    ema_images: float = 8_000.0
    pool_chunk: int = 64
    pool_chunks: int = 32
    pool_refresh: int = 16
    truncation: float = 0.7
    consistency: bool = True
    consistency_from: float = 0.25
    unlabelled_fraction: float = 0.3
    confidence: float = 0.85
    teacher: Teacher = "self"
    keep_weight: float = 0.0
    known_rate: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("batch_size", "pool_chunk", "pool_chunks", "pool_refresh"),
            positive=("learning_rate", "ema_images"),
            not_negative=("weight_decay", "keep_weight"),
            shares=("contrast_probability", "generated_fraction", "organ_fraction", "truncation", "consistency_from")
            + ("unlabelled_fraction", "confidence", "known_rate"),
        )
        check_channels(self, levels=2)
