"""The validation slices on which a network does worst, with reference and prediction."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.training.image_grids import image_grid, picture
from monai_semgan.training.validation import scan_keys

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet

SHOWN = 8
"""Slices that are kept."""

EACH, APART = 2, 4
"""Of one volume at most, and so many slices from each other: neighbours look alike."""

REMEMBERED = 2 * EACH * APART
"""Slices of a volume among which these are chosen."""

LEAST_SHARE = 0.002
"""Share of the slice that is labelled, found or both: a few pixels at the end of an organ tell nothing."""


@dataclass(frozen=True)
class WorstSlice:
    """A slice and how badly it was segmented.

    Attributes:
        dice: of all structures together, in [0, 1].
        index: number in the set.
        prediction: classes (H, W).
    """

    dice: float
    index: int
    prediction: torch.Tensor


class WorstSlices:
    """Watch a validation and remember the worst slices; `patient_dice` calls it batch by batch.

    Args:
        slices: that are validated.
    """

    def __init__(self, slices: SliceSet) -> None:
        self.slices = slices
        self._by_volume: dict[int, list[WorstSlice]] = {}

    def __call__(self, indices: torch.Tensor, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        """Take note of a batch.

        Args:
            indices: (n,) numbers of the slices.
            predictions: (n, H, W) classes.
            labels: (n, H, W) classes, 255 where unknown.
        """
        known = labels != UNLABELLED
        found, true = (predictions > 0) & known, (labels > 0) & known
        agreed = (found & (predictions == labels)).flatten(1).sum(1)
        pixels = found.flatten(1).sum(1) + true.flatten(1).sum(1)
        least = 2 * LEAST_SHARE * labels[0].numel()
        for row in (pixels >= least).nonzero().flatten().tolist():
            dice = 2.0 * float(agreed[row]) / float(pixels[row])
            volume = int(self.slices.volume_index[int(indices[row])])
            kept = self._by_volume.setdefault(volume, [])
            kept.append(WorstSlice(dice, int(indices[row]), predictions[row].to(torch.uint8)))
            self._by_volume[volume] = heapq.nsmallest(REMEMBERED, kept, key=lambda one: one.dice)

    @property
    def found(self) -> list[WorstSlice]:
        """The worst slices, the worst first."""
        every = [one for kept in self._by_volume.values() for one in _apart(kept)]
        return heapq.nsmallest(SHOWN, every, key=lambda one: one.dice)

    def described(self) -> list[dict[str, Any]]:
        """Scan, number of the slice in it (from 1, from feet to head) and Dice of each."""
        names, told = scan_keys(self.slices.patients), []
        for one in self.found:
            volume = int(self.slices.volume_index[one.index])
            first = int(self.slices.volume_slices(volume)[0])
            told.append({"scan": names[volume], "slice": one.index - first + 1, "dice": round(one.dice, 4)})
        return told

    def picture(self) -> np.ndarray | None:
        """Rows of images, references and predictions, a column for each slice; None if there is none."""
        found = self.found
        if not found:
            return None
        image, label = self.slices.batch([one.index for one in found])
        prediction = torch.stack([one.prediction for one in found])
        return image_grid([picture(image.cpu()), picture(image, label), picture(image, prediction)])


def _apart(kept: Sequence[WorstSlice]) -> list[WorstSlice]:
    """The worst slices of a volume that are no neighbours."""
    chosen: list[WorstSlice] = []
    for one in kept:
        if len(chosen) < EACH and all(abs(one.index - other.index) >= APART for other in chosen):
            chosen.append(one)
    return chosen
