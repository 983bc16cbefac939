"""Check the anatomy of a segmentation, and whether the body looks mirrored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.inference.mirror import SIDES, mirror_check, mirror_scores, why_not
from monai_semgan.quality.anatomy import AnatomyCheck, AnatomyReport, check_anatomy

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.slicing.geometry import SliceGeometry


def examine(
    segmentation: Segmentation,
    volume: Volume,
    bundle: Bundle,
    labels: Mapping[int, str],
    *,
    mirror: bool = True,
) -> AnatomyReport:
    """Check the labels of a segmentation, and whether the body looks mirrored, which takes part of a preview's time.

    Args:
        segmentation: the result; in radiographs nothing is checked.
        volume: the scan.
        bundle: the model.
        labels: organ name by id, of those that were asked for.
        mirror: whether to look at the mirror image as well.
    """
    if segmentation.areas:
        return AnatomyReport((AnatomyCheck("anatomy", None, "Anatomy: not checked, it is a single image."),))
    covered = covered_slices(segmentation.prepared.geometry, volume)
    found = check_anatomy(segmentation.label, volume.affine, labels, covered)
    if not mirror:
        return found
    scores = mirror_scores(bundle, segmentation.prepared)
    if scores is not None:
        return AnatomyReport((mirror_check(scores), *found.checks))
    reason = f"Sides of the body: not checked, {why_not(bundle, segmentation.prepared)}."
    return AnatomyReport((AnatomyCheck(SIDES, None, reason, "mirrored_header"), *found.checks))


def covered_slices(geometry: SliceGeometry, volume: Volume) -> tuple[int, int] | None:
    """Return which indices of a scan, along the axis from feet to head, a range of slices covers; None: all of them.

    Of slices that lie otherwise no range is ever taken.

    Args:
        geometry: of the slices that were computed.
        volume: the scan.
    """
    if not geometry.upwards:
        return None
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    axis = int(np.abs(volume.affine[2, :3] / spacing).argmax())
    centre = (np.asarray(volume.array.shape) - 1) / 2.0
    centre[axis] = 0.0
    middle = float(volume.affine[2, :3] @ centre + volume.affine[2, 3])
    heights = middle + volume.affine[2, axis] * np.arange(volume.array.shape[axis])
    step = max(abs(float(geometry.grid_affine[2, 2])), abs(float(volume.affine[2, axis])))
    slices = geometry.slice_centres[:, 2]
    low, high = slices.min() - step / 2, slices.max() + step / 2
    if low - heights.min() < 1.5 * step and heights.max() - high < 1.5 * step:  # slices may not fill a scan exactly
        return None
    inside = np.flatnonzero((heights >= low) & (heights <= high))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else None
