"""The one definition of a Dice score: that of the training's validation and that of `semgan evaluate`.

An organ found where the reference has none counts as 0, one that neither has is left out, and so is one that the
reference does not know: nobody's mean is lowered by what nobody has looked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice of two boolean arrays, 0 to 1 (Dice, Ecology 1945); NaN if both are empty, 0 if one is."""
    total = int(prediction.sum()) + int(reference.sum())
    return 2.0 * int(np.logical_and(prediction, reference).sum()) / total if total else math.nan


def beyond_labels(classes: Iterable[int], shown: Iterable[int]) -> set[int]:
    """Classes that references without names do not know: those numbered above all that any of them shows.

    Label maps number their structures without gaps: where one shows 4, a missing 3 is absent; where none shows more
    than 1, as in masks of the lungs, nobody has looked for a 2. Of references that show nothing all are known.

    Args:
        classes: of the model, without the background.
        shown: those that a reference shows.
    """
    highest = max(shown, default=None)
    return set() if highest is None else {index for index in classes if index > highest}


def means_by_organ(scans: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    """Mean Dice over scans by organ; one without any figure is left out.

    Args:
        scans: Dice by organ for every scan; NaN, or no key, where it has none.
    """
    collected: dict[Key, list[float]] = {}
    for scan in scans:
        for organ, value in scan.items():
            collected.setdefault(organ, []).append(value)
    return {organ: float(np.nanmean(found)) for organ, found in collected.items() if not np.all(np.isnan(found))}


def overall(means: Mapping[Key, float]) -> float:
    """Mean over organs of their means, so that rare organs count like others; NaN if there are none."""
    return float(np.mean(list(means.values()))) if means else math.nan
