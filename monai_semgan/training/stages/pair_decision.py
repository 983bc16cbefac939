"""Whether the student learns from generated pairs: decided once, by measurement, before its first step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.training.pair_trial import TrialScores, TrialSettings, affordable, divide, try_pairs

if TYPE_CHECKING:
    from monai_semgan.training.pair_pool import PairPool
    from monai_semgan.training.stages.stage import StageContext
    from monai_semgan.training.stages.student_settings import StudentSettings

logger = logging.getLogger(__name__)

CHUNKS = 2
"""Chunks of the pool that a trial draws from; the first steps of the training need them anyway."""


@dataclass(frozen=True)
class PairDecision:
    """Whether generated pairs are used, and what was measured; None where nothing was.

    Attributes:
        used: whether batches hold generated pairs.
        plausible: share of the pairs whose label is sure and of possible size.
        without: Dice of a small network without pairs.
        with_pairs: Dice of the same with pairs.
    """

    used: bool
    plausible: float | None = None
    without: float | None = None
    with_pairs: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a record and a checkpoint hold."""
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> PairDecision:
        """Read what `to_dict` gave."""
        return PairDecision(**content)


def decide(context: StageContext, pool: PairPool, settings: StudentSettings) -> PairDecision:
    """Measure whether generated pairs help (see `pair_trial`), and say so.

    Raises:
        Cancelled: the run shall end.
    """
    pairs = pool.first(CHUNKS)
    plausible = float(_mean(context, pool.acceptance))
    if plausible == 0.0:
        logger.warning("generated pairs are left out: none of the generator's labels is plausible")
        return PairDecision(False, plausible)
    if not all(len(half) for half in divide(context.slices)):
        logger.warning("generated pairs are left out: too few labelled slices to measure whether they help")
        return PairDecision(False, plausible)
    longest = TrialSettings(
        context.num_classes, settings.generated_fraction, organ_fraction=settings.organ_fraction, seed=context.seed
    )
    trial = context.workers.first_decides(  # processes are not equally fast, and all have to try, or none
        lambda: affordable(longest, context.slices, context.device, context.schedule)
    )
    if trial is None:
        logger.warning("generated pairs are left out: the training is too short to measure whether they help")
        return PairDecision(False, plausible)
    found = try_pairs(context.slices, pairs, trial, context.device, context.should_stop)
    scores = TrialScores(_mean(context, found.without), _mean(context, found.with_pairs))
    measured = "Dice %.3f with them and %.3f without, on labelled slices held out from a short training"
    if scores.helped:
        logger.info(f"generated pairs are used: {measured}", scores.with_pairs, scores.without)
    else:
        logger.warning(f"generated pairs are left out: {measured}", scores.with_pairs, scores.without)
    return PairDecision(scores.helped, plausible, scores.without, scores.with_pairs)


def _mean(context: StageContext, value: float) -> float:
    """The mean over the processes, the same for all."""
    values = context.workers.gather(torch.tensor([value], dtype=torch.float64, device=context.device))
    return round(float(values.mean()), 4)
