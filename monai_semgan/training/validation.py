"""Dice of whole volumes, scan by scan, on the grid of the slices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from monai_semgan.quality.overlap import beyond_labels, dice, means_by_organ, overall

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
    watch: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None,
) -> dict[str, list[float]]:
    """Dice of every organ in 3D for every labelled scan, as `semgan evaluate` defines it (`quality.overlap`).

    Args:
        segment: maps images (n, C, H, W) in [-1, 1] to logits (n, K, H, W).
        slices: the volumes to score.
        device: where `segment` works.
        num_classes: classes with the background.
        batch: slices at a time.
        every: score every so many slices only: a cheaper estimate.
        watch: shown numbers (n,), predicted classes and labels (n, H, W) of slices, batch by batch.

    Returns:
        Scan, called as its patient (see `scan_keys`) -> Dice of classes 1 to K - 1; 0 for an organ that was found
        though the label lacks it; NaN for one that neither has, or that the label does not know.
    """
    scores: dict[str, list[float]] = {}
    unnamed, shown = set[str](), set[int]()
    for volume, scan in enumerate(scan_keys(slices.patients)):
        indices = slices.volume_slices(volume)
        shown |= {int(k) for k in slices.labels[indices].unique() if 0 < k < num_classes}
        predictions, labels = [], []
        for chunk in indices[::every].split(batch):
            image, label = slices.batch(chunk, device)
            predictions.append(segment(image).argmax(1).cpu())
            labels.append(label.cpu())
            if watch is not None:
                watch(chunk, predictions[-1], labels[-1])
        found, true = torch.cat(predictions).numpy(), torch.cat(labels).numpy()
        if int(true.max()) >= num_classes:  # without a label
            continue
        known = told_classes(slices, volume)
        scores[scan] = [dice(found == k, true == k) if known.get(k, True) else math.nan for k in range(1, num_classes)]
        unnamed |= set() if known else {scan}
    if len(unnamed) == len(scores):
        for k in beyond_labels(range(1, num_classes), shown):
            for values in scores.values():
                values[k - 1] = math.nan
    return scores


def told_classes(slices: SliceSet, volume: int) -> dict[int, bool]:
    """Whether the label of a volume knows a class, by class; empty where nothing tells what it knows.

    Args:
        slices: that hold the volume.
        volume: its number.
    """
    entry, preprocessing = slices.entries[volume], slices.preprocessing
    known, names = slices.known_classes(slices.volume_slices(volume)[:1])[0].tolist(), dict(entry.names)
    ids = preprocessing.class_ids
    told = {number: known[number] and (not names or index in names) for number, index in enumerate(ids, start=1)}
    return told if not all(known) or (names and any(told.values())) else {}


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
    """Mean Dice over scans for each class and over all, named `dice` and `dice_1`, `dice_2` ..., as evaluate's."""
    if not scores:
        return {}
    classes = range(1, len(next(iter(scores.values()))) + 1)
    means = means_by_organ(dict(zip(classes, values, strict=True)) for values in scores.values())
    by_class = {f"dice_{k}": round(means.get(k, math.nan), 4) for k in classes}
    return {"dice": round(overall(means), 4)} | by_class
