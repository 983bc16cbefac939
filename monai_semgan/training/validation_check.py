"""The validation of a stage: on so many slices as there is time for, and on all of them at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.training.run_page.worst_slices import WorstSlices
from monai_semgan.training.stages.stage import Stage
from monai_semgan.training.validation import patient_dice, summary

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

LEAST_SLICES = 8
"""Slices of a volume that a check looks at, as long as volumes can be left out instead."""

FIRST_SLICES = 16
"""Slices of the first check, when nothing is known of the speed."""


def sparser(slices: SliceSet, most: int) -> tuple[list[int], int]:
    """Which volumes to look at, and every how many of their slices, so that it is about `most` slices.

    Args:
        slices: the volumes.
        most: slices, at least 1.

    Returns:
        Numbers of the volumes, evenly spread, and the step from slice to slice.
    """
    ratio = max(1.0, len(slices) / max(1, most))
    depth = len(slices) / slices.num_volumes
    every = max(1, min(math.ceil(ratio), int(depth // LEAST_SLICES)))
    step = max(1, math.ceil(ratio / every))
    return list(range(0, slices.num_volumes, step)), every


class ValidationCheck:
    """Score a stage on its validation volumes, within a time, and keep what is shown of them.

    Args:
        stage: that is scored; without validation volumes its score is empty.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.scores: dict[str, list[float]] = {}
        self.slices = 0
        self.worst: WorstSlices | None = None
        self._pictured: list[dict[str, Any]] = []
        self._seconds_each: float | None = None

    def __call__(
        self, segment: Callable[[torch.Tensor], torch.Tensor], batch: int, final: bool, seconds: float
    ) -> dict[str, float]:
        """Score the stage.

        Args:
            segment: maps images (n, C, H, W) in [-1, 1] to logits (n, K, H, W).
            batch: slices at a time.
            final: look at all slices, however long it takes.
            seconds: time that a check before the end may take.

        Returns:
            Mean Dice by class and over all (see `summary`); empty where there is nothing to score on, or no time.

        Raises:
            Cancelled: the run shall end; scores are those of the check before.
        """
        context = self.stage.context
        if context.validation is None or (seconds <= 0 and not final and self.scores):
            return {}
        chosen, every = self._chosen(context.validation, final, seconds)
        worst = WorstSlices(chosen)
        started, looked_at = time.monotonic(), 0

        def watched(image: torch.Tensor) -> torch.Tensor:
            nonlocal looked_at
            self.stage.check_stop()
            looked_at += len(image)
            return segment(image)

        scores = patient_dice(watched, chosen, context.device, context.num_classes, batch, every, worst)
        self._seconds_each = (time.monotonic() - started) / max(1, looked_at)
        self.scores, self.slices, self.worst = scores, looked_at, worst
        return summary(scores)

    def _chosen(self, slices: SliceSet, final: bool, seconds: float) -> tuple[SliceSet, int]:
        if final:
            return slices, 1
        most = FIRST_SLICES
        if self._seconds_each is not None and seconds > 0:
            most = int(min(seconds / self._seconds_each, len(slices)))
        volumes, every = sparser(slices, most)
        return (slices if len(volumes) == slices.num_volumes else slices.select(volumes)), every

    def picture(self) -> np.ndarray | None:
        """The worst slices of the last validation (H, W, 3) uint8, which `details` describes; None without any."""
        if self.worst is None:
            return None
        self._pictured = self.worst.described()
        return self.worst.picture()

    @property
    def full_seconds(self) -> float:
        """Time that the validation of all slices will take; 0 while nothing is known."""
        validation = self.stage.context.validation
        return 0.0 if validation is None else (self._seconds_each or 0.0) * len(validation)

    def details(self) -> dict[str, Any]:
        """Dice of every scan and class, on how many slices, and the worst ones of the last picture."""
        return {"validation_dice": self.scores, "validation_slices": self.slices, "worst_slices": self._pictured}
