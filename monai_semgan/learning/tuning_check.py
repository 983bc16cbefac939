"""Whether a tuned model is better, and whether its old structures are as good as before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.learning.tuning_data import each_told
from monai_semgan.quality.overlap import dice, means_by_organ, overall
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.learning.tuning_data import TunedClasses, TuningScan
    from monai_semgan.utils.progress import Progress

LEAST_AGREEMENT = 0.95
"""Mean Dice of new and old results in old structures that no label tells, below which a model has forgotten."""


@dataclass(frozen=True)
class TuningFigures:
    """Mean 3D Dice on scans of the old and of the new model, by structure name.

    Attributes:
        before: of the old model, of structures that labels tell.
        after: of the new one.
        agreement: of the new result with the old one, of old structures that no label tells.
        scans: how many were measured on.
    """

    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    scans: int = 0

    @property
    def lost(self) -> float:
        """Mean Dice that structures known to both have lost; 0 where labels tell none."""
        both = [name for name in self.before if name in self.after]
        return float(np.mean([self.before[name] - self.after[name] for name in both])) if both else 0.0

    @property
    def told_of_old(self) -> str:
        """What has become of the old structures, in words; empty where nothing is known of them."""
        both = [name for name in self.before if name in self.after]
        parts = []
        if both:
            before, after = (np.mean([scores[name] for name in both]) for scores in (self.before, self.after))
            parts.append(f"old structures Dice {before:.3f} before and {after:.3f} after")
        if self.agreement:
            parts.append(f"those that no label tells agree with the old result by Dice {overall(self.agreement):.3f}")
        return "; ".join(parts)

    def refusal(self, largest_loss: float) -> str:
        """Say why the new model must not be used; empty if it may be.

        Args:
            largest_loss: mean Dice that old structures may lose.
        """
        agreement = overall(self.agreement)
        if self.lost > largest_loss:
            return f"old structures would lose {self.lost:.3f} Dice on average"
        if not math.isnan(agreement) and agreement < LEAST_AGREEMENT:
            return f"old structures would change: Dice {agreement:.3f} with what the model found before"
        return ""


def compare(
    bundle: Bundle, scans: Sequence[TuningScan], classes: TunedClasses, progress: Progress | None = None
) -> TuningFigures:
    """Measure a tuned model on scans of which the old model's results are known.

    Args:
        bundle: the new model.
        scans: to measure on.
        classes: of the new model.
        progress: display and cancel.

    Raises:
        Cancelled: the user wants the work to end.
    """
    before, after, agreement = [], [], []
    for scan in each_told(scans, "measuring", progress or NullProgress()):
        found = segment(read_volume(scan.entry.image), bundle, modality=scan.entry.modality).label
        told = {index: name for index, name in classes.names.items() if index in scan.known}
        if scan.label is not None:
            after.append({name: dice(found == index, scan.label == index) for index, name in told.items()})
        if scan.replayed is None:
            continue
        old = {index: name for index, name in told.items() if index in classes.old}
        if scan.label is not None:
            before.append({name: dice(scan.replayed == index, scan.label == index) for index, name in old.items()})
        other = {index: name for index, name in classes.old.items() if index not in scan.known}
        agreement.append({name: dice(found == index, scan.replayed == index) for index, name in other.items()})
    return TuningFigures(means_by_organ(before), means_by_organ(after), means_by_organ(agreement), len(scans))
