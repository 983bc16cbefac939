"""How soon a head finds structures, by the balance of its cross-entropy (docs/learning.md).

    python benchmarks/head_balance.py --bundle four_organs --balance 0 0.5 0.7

Learns aorta, gallbladder, stomach and pancreas together from three CT, as `new_structure.py` does, and prints the Dice
in every third slice of four other training volumes (not of the validation ones), at the size of the model's slices,
without views and clean-up.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from new_structure import NEW, entry
from protocol import CT_TRAINING

import monai_semgan.learning.head_training as head_training
from monai_semgan.bundle.load import load_bundle
from monai_semgan.learning.head_training import HeadTraining
from monai_semgan.learning.learn_settings import LearnSettings
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.learning.structure_scans import StructureScan, read_scans
from monai_semgan.networks import InversionSegmenter
from monai_semgan.networks.added_structures import StructureHead
from monai_semgan.quality.overlap import dice
from monai_semgan.training.engine.schedule import Stopwatch
from monai_semgan.utils.progress import NullProgress
from monai_semgan.utils.threads import prepare_threads

STEP = 3
"""Every so many slices are looked at."""


@torch.no_grad()
def scores(network: InversionSegmenter, head: StructureHead, scans: Sequence[StructureScan]) -> dict[str, float]:
    """Mean Dice by structure; one that a scan does not show does not count there."""
    rows = []
    for scan in scans:
        image, true = scan.image[::STEP], scan.target[::STEP]
        logits, maps = network.student.with_features(image)  # type: ignore[operator]
        own = head(image, logits, maps)
        found = torch.cat([torch.zeros_like(own[:, :1]), own], 1).argmax(1)
        found[logits.argmax(1) > 0] = 0
        rows.append([_shown_dice(found == index, true == index) for index in range(1, own.shape[1] + 1)])
    means = np.nanmean(np.array(rows), axis=0)
    return {name: round(float(value), 3) for name, value in zip(NEW.values(), means, strict=True)}


def _shown_dice(found: torch.Tensor, true: torch.Tensor) -> float:
    return dice(found.numpy(), true.numpy()) if true.any() else float("nan")


class _Marks(NullProgress):
    """Prints scores after some steps."""

    def __init__(self, marks: Sequence[int], scans: Sequence[StructureScan], told: str) -> None:
        self.marks, self.scans, self.told = marks, scans, told
        self.training: HeadTraining | None = None

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Look at the average of the head."""
        if self.training is not None and values.get("step") in self.marks:
            found = scores(self.training.network, self.training.finished, self.scans)
            print(self.told, int(values["step"]), found, f"mean {np.mean(list(found.values())):.3f}", flush=True)


def main() -> None:
    """Learn once for every balance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("SEMGAN_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None, help="default: $SEMGAN_DATA")
    parser.add_argument("--bundle", type=Path, required=True, help="that knows the four organs")
    parser.add_argument("--balance", type=float, nargs="+", default=[0.0, 0.5, 0.7])
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prepare_threads(1)
    bundle, structures = load_bundle(arguments.bundle, "cpu"), [NewStructure(name) for name in NEW.values()]
    numbers = (CT_TRAINING[: arguments.scans], CT_TRAINING[10:14])
    learnt, others = (
        read_scans([entry(arguments.data, number) for number in some], structures, bundle.preprocessing, NullProgress())
        for some in numbers
    )
    settings = LearnSettings(budget="10h", steps=max(arguments.steps), seed=arguments.seed)
    for balance in arguments.balance:
        head_training.BALANCE = balance
        marks = _Marks(arguments.steps, others, f"balance {balance:g}, steps")
        marks.training = HeadTraining(bundle.network, len(structures), settings, marks)
        marks.training.run(learnt, Stopwatch(), settings.seconds, settings.seconds)


if __name__ == "__main__":
    main()
