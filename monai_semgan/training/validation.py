"""Dice of whole volumes, scan by scan, on the grid of the slices."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.metrics import DiceMetric
from monai.networks.utils import one_hot

if TYPE_CHECKING:
    from monai_semgan.data.slice_set import SliceSet


@torch.no_grad()
def patient_dice(
    segment: Callable[[torch.Tensor], torch.Tensor],
    slices: SliceSet,
    device: torch.device,
    num_classes: int,
    batch: int,
    every: int = 1,
) -> dict[str, list[float]]:
    """Dice of every organ in 3D for every labelled scan.

    Args:
        segment: maps images (n, C, H, W) in [-1, 1] to logits (n, K, H, W).
        slices: the volumes to score.
        device: where `segment` works.
        num_classes: classes with the background.
        batch: slices at a time.
        every: score every so many slices only: a cheaper estimate.

    Returns:
        Scan, called as its patient (see `scan_keys`) -> Dice of classes 1 to K - 1; NaN for an organ that the scan's
        label lacks.
    """
    metric = DiceMetric(include_background=False, reduction="none")
    scores: dict[str, list[float]] = {}
    for volume, scan in enumerate(scan_keys(slices.patients)):
        indices = slices.volume_slices(volume)
        predictions, labels = [], []
        for chunk in indices[::every].split(batch):
            image, label = slices.batch(chunk, device)
            predictions.append(segment(image).argmax(1).cpu())
            labels.append(label.cpu())
        truth = torch.cat(labels)
        if int(truth.max()) >= num_classes:
            continue
        pair = [one_hot(t[None, None], num_classes, dtype=torch.bool) for t in (torch.cat(predictions), truth)]
        scores[scan] = metric(pair[0], pair[1])[0].tolist()
        metric.reset()
    return scores


def scan_keys(patients: Sequence[str]) -> list[str]:
    """Call every scan by its patient; those of one patient are counted: `ann (1)`, `ann (2)`.

    File names would tell them apart too, but must not travel with the weights.

    Args:
        patients: of the scans, in order.
    """
    counts, seen, keys = Counter(patients), Counter[str](), set(patients)
    found: list[str] = []
    for patient in patients:
        key = patient
        while counts[patient] > 1 and (key == patient or key in keys):
            seen[patient] += 1
            key = f"{patient} ({seen[patient]})"
        keys.add(key)
        found.append(key)
    return found


def summary(scores: dict[str, list[float]]) -> dict[str, float]:
    """Mean Dice over scans for each class and over all, named `dice` and `dice_1`, `dice_2` ..."""
    if not scores:
        return {}
    table = np.array(list(scores.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        by_class = np.nanmean(table, axis=0)
        overall = float(np.nanmean(by_class))
    return {"dice": round(overall, 4)} | {f"dice_{k + 1}": round(float(v), 4) for k, v in enumerate(by_class)}
