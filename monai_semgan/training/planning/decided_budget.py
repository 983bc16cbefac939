"""How much of a common budget each stage gets, and how many images a step sees, decided from what there is to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from monai_semgan.training.planning.decision import Decision
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.training.stages.stage_registry import budget_shares, find_stage

USUAL_SIZE = 128
"""Pixels of the slices for which the stages' own batch sizes were chosen."""

SMALLEST_BATCH = 4


def decide_shares(scans: Sequence[ScanLook], whole: bool = True) -> Decision:
    """Divide the budget of `all` among the stages; one that has nothing to learn from gets none.

    Args:
        scans: of the training list.
        whole: whether any training label knows every class, without which there is no joint generator.
    """
    labelled = sum(bool(scan.labels) for scan in scans)
    usual = dict(budget_shares())
    if labelled and not whole:
        reason = "no label knows every class, as the generator needs: what a label leaves out looks like background."
        return Decision("shares", {"student": 1.0}, reason)
    if labelled:
        reason = f"{labelled} of {len(scans)} training scans are labelled, so that every stage has what it needs."
        return Decision("shares", usual, reason, usual=True)
    reason = "no training scan is labelled: only the encoder of weights to begin with (--init) can be trained."
    return Decision("shares", {"encoder": 1.0}, reason)


def decide_batches(size: int, images: int, stages: Sequence[str]) -> Decision:
    """Choose the images per step and process, by stage.

    Args:
        size: pixels of a slice; four times the pixels take four times the memory and time.
        images: training slices.
        stages: that have a batch size of their own.
    """
    factor = min(1.0, (USUAL_SIZE / size) ** 2)
    usual = {name: default for name in stages if (default := _default(name)) is not None}
    batches = {name: _batch(default, factor, images) for name, default in usual.items()}
    if batches == usual:
        return Decision("batch_sizes", batches, f"the usual ones for slices of {size} pixels.", usual=True)
    why = f"slices of {size} pixels need more memory" if factor < 1 else f"there are {images} training slices"
    return Decision("batch_sizes", batches, f"{why}.")


def _batch(default: int, factor: float, images: int) -> int:
    return min(default, max(SMALLEST_BATCH, min(round(default * factor), images)))


def _default(stage: str) -> int | None:
    known: Mapping[str, object] = {field.name: field.default for field in fields(find_stage(stage).settings)}
    value = known.get("batch_size")
    return value if isinstance(value, int) else None
