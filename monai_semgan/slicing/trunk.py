"""The trunk without arms and shoulders, where a body with them does not fit into the slices.

Arms beside the trunk or raised would make the pixels of every slice larger, and small organs lose detail by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monai_semgan.slicing.body import Body

VALLEY = 0.85
"""Between arm and trunk a slice is thinner than this part of the arm's thickness, also where they touch."""

ARM_MM = (20.0, 160.0)
"""Least and largest width of an arm."""

ARM_SHARE = 0.3
"""Parts larger than this share of their slice are legs or halves of a body, not arms."""

ARM_CM2 = 10.0
"""Parts of a slice that are smaller than this are no arms."""

ARM_SLICES = 0.05
"""Share of the slices that show an arm where there are arms."""

SHOULDER_RATIO = 1.15
"""How much wider than the slices of the trunk those of the shoulders are."""

SHOULDER_SLICES = 0.25
"""Shoulders take at most this share of the slices, at the upper end."""

ENDS = (10, 90)
"""Percentiles, over the slices, of the trunk's edges: an arm that does not come off everywhere does not count."""


def trunk_of(body: Body, spacing: np.ndarray, axes: tuple[int, int, int], upwards: bool) -> Body | None:
    """The trunk of a body.

    Args:
        body: with arms, perhaps.
        spacing: (3,) mm per voxel.
        axes: of the volume that run along the patient's left-right, back-front and feet-head.
        upwards: the last of them runs from the feet to the head.

    Returns:
        None where neither arms nor shoulders are seen.
    """
    mask = body.mask.transpose(axes)
    cell = (np.asarray(body.factors) * spacing)[list(axes)]
    spans = [_trunk_span(profile * cell[1], cell[0]) for profile in mask.sum(axis=1).T if profile.any()]
    edges = np.array([(low, high) for low, high, _ in spans])
    if not len(edges):
        return None
    arms = np.mean([arm for _, _, arm in spans]) >= ARM_SLICES
    shoulders = _shoulders(np.ptp(edges, axis=1), upwards)
    if not arms and not shoulders.any():
        return None
    low, high = (np.percentile(edges[~shoulders, end], ENDS[end]) for end in (0, 1))
    trunk = mask.copy()
    trunk[: int(low)], trunk[int(np.ceil(high)) :] = False, False
    return replace(body, mask=trunk.transpose(np.argsort(axes))) if trunk.any() else None


def _trunk_span(thickness: np.ndarray, width_mm: float) -> tuple[int, int, bool]:
    """Where the trunk begins and ends along the left-right axis of a slice, and whether there are arms beside it.

    Args:
        thickness: (n,) mm of body from back to front, along the left-right axis.
        width_mm: of a cell of that axis.
    """
    used = np.flatnonzero(thickness)
    first, last = int(used[0]), int(used[-1]) + 1
    left = _arm_width(thickness[first:last], width_mm)
    right = _arm_width(thickness[first:last][::-1], width_mm)
    return first + left, last - right, left + right > 0


def _arm_width(thickness: np.ndarray, width_mm: float) -> int:
    """Cells from the outer end up to the valley between arm and trunk; 0 if there is none."""
    highest = np.maximum.accumulate(thickness)
    dips = np.flatnonzero(thickness < VALLEY * highest)
    if not dips.size:
        return 0
    arm = highest[dips[0]]
    beyond = np.flatnonzero(thickness[dips[0] :] > arm)
    if not beyond.size:
        return 0
    valley = int(dips[0] + thickness[dips[0] : dips[0] + beyond[0]].argmin())
    area, whole = (float(values.sum()) * width_mm / 100.0 for values in (thickness[:valley], thickness))
    fits = ARM_MM[0] <= np.count_nonzero(thickness[:valley]) * width_mm <= ARM_MM[1]
    return valley if fits and ARM_CM2 <= area <= ARM_SHARE * whole else 0


def _shoulders(widths: np.ndarray, upwards: bool) -> np.ndarray:
    """Which slices, from the upper end on, are much wider than those below."""
    from_top = widths[::-1] if upwards else widths
    limit = SHOULDER_RATIO * float(np.percentile(widths, 100 * (1 - SHOULDER_SLICES)))
    wide = np.flatnonzero(from_top > limit)
    found = np.zeros(len(widths), dtype=bool)
    if wide.size and wide[-1] <= SHOULDER_SLICES * len(widths):
        found[: wide[-1] + 1] = True
    return found[::-1] if upwards else found
