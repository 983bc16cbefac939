"""How a structure is learnt beside the old ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_semgan.training.engine.schedule import Clock, parse_duration
from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclass(frozen=True)
class LearnSettings:
    """How a head for new structures is fitted on the maps of a frozen student.

    Args:
        budget: time of learning, such as `5m`; reading the scans comes before it, and measuring after.
        clock: what it is measured by: `wall`, or `processor`.
        held_out: labelled patients that the score stands on; one of three or more when left out.
        measured_share: share of the time that goes to the head that is scored, which the held-out scans have not
            taught; it goes on with all scans afterwards.
        batch_size: slices of a step.
        structure_share: of these, how many show one of the structures; the others are any.
        contrast_probability: share of the slices that get a random contrast.
        learning_rate: highest rate of AdamW.
        weight_decay: of AdamW.
        average_slices: slices after which old weights count half in the average that is kept.
        mixed_precision: use bfloat16 where that is faster.
        steps: end after so many steps; None for the budget alone.
        seed: of everything random.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        SemganError: if a value makes no sense.
    """

    budget: str | float = "5m"
    clock: Clock = "wall"
    held_out: int | None = None
    measured_share: float = 0.5
    batch_size: int = 16
    structure_share: float = 0.6
    contrast_probability: float = 0.5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    average_slices: float = 2000.0
    mixed_precision: bool = True
    steps: int | None = None
    seed: int = 0
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        parse_duration(self.budget)
        check_ranges(
            self,
            counts=("batch_size", "steps"),
            positive=("learning_rate", "average_slices"),
            not_negative=("held_out", "weight_decay", "seed"),
            shares=("measured_share", "structure_share", "contrast_probability"),
        )

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget)
