"""How a model is tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.training.engine.schedule import Clock, parse_duration
from monai_semgan.utils.settings import check_ranges, checked


@checked
@dataclass(frozen=True)
class TuneSettings:
    """How a model is tuned on labelled scans.

    Args:
        structures: those that the model shall learn anew, and of others their ids in label files that tell no names;
            empty to better the old ones by labels in the model's own ids.
        budget: time in all, such as `5m`: looking at the scans, training (half of it at least) and measuring.
        clock: what it is measured by: `wall`, or `processor`, see `LoopSettings`.
        held_out: labelled patients that are measured on and not learnt from; one of three or more when left out.
        batch_size: slices of a step.
        learning_rate: highest rate of the student's AdamW, for the layers that have a channel for each class where
            there are new ones.
        known_rate: rate of all other weights, and of all where there are no new structures, as a share of that.
        keep_weight: weight of the divergence from the old student, see `StudentSettings`.
        generated_fraction: share of random images of the generator in the student's batches, to rehearse on.
        largest_loss: mean Dice that old structures may lose before the new version is refused.
        steps: end the training after so many steps; None for the budget alone.
        seed: of everything random.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        SemganError: if a value makes no sense.
    """

    structures: Sequence[NewStructure] = ()
    budget: str | float = "5m"
    clock: Clock = "wall"
    held_out: int | None = None
    batch_size: int = 8
    learning_rate: float = 2e-3
    known_rate: float = 0.03
    keep_weight: float = 8.0
    generated_fraction: float = 0.375
    largest_loss: float = 0.005
    steps: int | None = None
    seed: int = 0
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        parse_duration(self.budget)
        positive = ("learning_rate", "largest_loss")
        check_ranges(
            self,
            counts=("steps", "batch_size"),
            positive=positive,
            not_negative=("held_out", "seed", "keep_weight"),
            shares=("generated_fraction", "known_rate"),
        )

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget)
