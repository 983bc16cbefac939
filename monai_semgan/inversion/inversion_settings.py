"""Settings of an inversion, with checks that a user can act upon."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from monai_semgan.errors import SemganError
from monai_semgan.utils.settings import check_ranges, checked

STARTS = ("encoder", "mean", "best")


@checked
@dataclass(frozen=True)
class InversionSettings:
    """Set how latents are searched for.

    Args:
        steps: updates of every slice's latent; 0 renders the start.
        learning_rate: step length of Adam, in units of the latent space w.
        spatial_learning_rate: the same for the spatial part of latents that have one.
        warmup: fraction of the steps over which the learning rate rises; the first step is never wasted on 0.
        decay: fraction of the steps, at the end, over which the learning rate falls along a cosine.
        objective: name of a reconstruction objective, or `auto`: in-domain where the modality is the one the
            generator has learnt, contrast-invariant otherwise.
        start: `encoder`, `mean` (the mean latent) or `best` (of the two, slice by slice, under the objective).
        organ_margin: slices further than this from one in which the start (or the student of mode `refine`) shows an
            organ keep their start, which halves the time for a whole scan; None searches for all slices.
        restarts: searches, each from another start (1 for a single one); the best result of every slice is kept.
        batch_size: slices rendered together; None chooses by device. Does not change the result.
        prior_weight: pull towards plausible latents (Mahalanobis length of the de-skewed W+, and of the spatial part,
            each 1 for a typical one).
        spread_weight: pull of the layers of one latent towards each other.
        start_weight: pull towards the start, in the same unit.
        neighbour_weight: pull towards the latents of the slices above and below, in the same unit; 0 uncouples.
        label_weight: weight of the student's labels in the objective of mode `refine`.
        student_weight: share of the student in the final probabilities of mode `refine`, from 0 to 1.
        average_views: average what is rendered with the encoder's renderings of further views, those of the preview
            (shifted slices, in other modalities the negative), and smooth it across slices as the preview is.
        search_share: share of the searched latent's label beside those of further views; None counts it as one of them.
        tolerance: relative improvement below which a step counts as idle.
        patience: idle steps after which a slice has converged and is no longer computed; 0 switches this off.
        refit_every: steps between fits of what the slices share, for objectives that fit a map of grey values; idle
            steps before a fit still count.
        mixed_precision: bfloat16 in the steps of a search, and for further views, where the device is fast with it;
            the slices as they are are encoded, and rendered for their labels, in float32.
        seed: of the statistics of the latent space and of restarts.

    Raises:
        SemganError: if a value makes no sense.
    """

    steps: int = 60
    learning_rate: float = 0.05
    spatial_learning_rate: float = 0.005
    warmup: float = 0.1
    decay: float = 0.5
    objective: str = "auto"
    start: str = "encoder"
    organ_margin: int | None = None
    restarts: int = 1
    batch_size: int | None = None
    prior_weight: float = 0.005
    spread_weight: float = 0.0
    start_weight: float = 0.0
    neighbour_weight: float = 0.0
    label_weight: float = 1.0
    student_weight: float = 0.5
    average_views: bool = False
    search_share: float | None = None
    tolerance: float = 0.002
    patience: int = 10
    refit_every: int = 10
    mixed_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        weights = [field.name for field in fields(self) if field.name.endswith("_weight")]
        check_ranges(
            self,
            counts=("restarts", "refit_every", "batch_size"),
            positive=("learning_rate", "spatial_learning_rate"),
            not_negative=("steps", "patience", "tolerance", "organ_margin", *weights),
            shares=("warmup", "decay", "student_weight", "search_share"),
        )
        if self.start not in STARTS:
            raise SemganError(f"unknown start {self.start!r}", remedy=f"use one of {', '.join(STARTS)}")

    def rendering_only(self) -> InversionSettings:
        """Return the same without any search: what the encoder alone gives."""
        return replace(self, steps=0, restarts=1, start="encoder", search_share=None)
