"""Settings of an inversion, with checks that a user can act upon."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from monai_semgan.errors import SemganError

STARTS = ("encoder", "mean", "best")


@dataclass(frozen=True)
class InversionSettings:
    """How latent codes are searched for.

    Args:
        steps: updates of every slice's code; 0 renders the start.
        learning_rate: step length of Adam, in units of the latent space w.
        warmup: fraction of the steps over which the learning rate rises; the first step is never wasted on 0.
        decay: fraction of the steps, at the end, over which the learning rate falls along a cosine.
        objective: name of a reconstruction objective, or `auto`: in-domain where the modality is the one the
            generator has learnt, contrast-invariant otherwise.
        start: `encoder`, `mean` (the mean latent) or `best` (of the two, slice by slice, under the objective).
        organ_margin: slices further than this from one in which the start (or the student of mode `refine`) shows an
            organ keep their start, which halves the time for a whole scan; None searches for all slices.
        starts: number of starts; from the second on they differ and the best result of every slice is kept.
        batch_size: slices rendered together; None chooses by device. Does not change the result.
        prior_weight: pull towards plausible codes (Mahalanobis length of the de-skewed code, 1 for a typical code).
        spread_weight: pull of the layers of one code towards each other.
        start_weight: pull towards the start, in the same unit.
        neighbour_weight: pull towards the codes of the slices above and below, in the same unit; 0 uncouples.
        label_weight: weight of the student's labels in the objective of mode `refine`.
        student_weight: share of the student in the final probabilities of mode `refine`, from 0 to 1.
        tolerance: relative improvement below which a step counts as idle.
        patience: idle steps after which a slice has converged and is no longer computed; 0 switches this off.
        refit_every: steps between fits of what the slices share, for objectives that fit a map of grey values.
        mixed_precision: bfloat16 where the device is fast with it.
        seed: of the statistics of the latent space and of further starts.

    Raises:
        SemganError: if a value makes no sense.
    """

    steps: int = 60
    learning_rate: float = 0.05
    warmup: float = 0.1
    decay: float = 0.5
    objective: str = "auto"
    start: str = "encoder"
    organ_margin: int | None = None
    starts: int = 1
    batch_size: int | None = None
    prior_weight: float = 0.005
    spread_weight: float = 0.0
    start_weight: float = 0.0
    neighbour_weight: float = 0.0
    label_weight: float = 1.0
    student_weight: float = 0.5
    tolerance: float = 0.002
    patience: int = 10
    refit_every: int = 10
    mixed_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_weight") and not 0 <= value < float("inf"):
                raise SemganError(f"{field.name} is {value}", remedy="give a number of at least 0")
        for name, low in (("steps", 0), ("starts", 1), ("patience", 0), ("refit_every", 1), ("tolerance", 0)):
            if not getattr(self, name) >= low:
                raise SemganError(f"{name} is {getattr(self, name)}", remedy=f"give at least {low}")
        for name in ("warmup", "decay", "student_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise SemganError(f"{name} is {getattr(self, name)}", remedy="give a number from 0 to 1")
        if not 0 < self.learning_rate < float("inf"):
            raise SemganError(f"learning_rate is {self.learning_rate}", remedy="give a positive number")
        if self.organ_margin is not None and self.organ_margin < 0:
            raise SemganError(f"organ_margin is {self.organ_margin}", remedy="give at least 0, or None for all slices")
        if self.batch_size is not None and self.batch_size < 1:
            raise SemganError(
                f"batch_size is {self.batch_size}", remedy="give at least 1, or None for a choice by device"
            )
        if self.start not in STARTS:
            raise SemganError(f"unknown start {self.start!r}", remedy=f"use one of {', '.join(STARTS)}")

    def rendering_only(self) -> InversionSettings:
        """The same without any search: what the encoder alone gives."""
        return replace(self, steps=0, starts=1, start="encoder")
