"""Check the anatomy of a segmentation, and whether the body looks mirrored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from monai_semgan.inference.mirror import SIDES, mirror_check, mirror_scores, why_not
from monai_semgan.quality.anatomy import AnatomyCheck, AnatomyReport, check_anatomy

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume


def examine(segmentation: Segmentation, volume: Volume, bundle: Bundle, labels: Mapping[int, str]) -> AnatomyReport:
    """Check the labels of a segmentation, and whether the body looks mirrored, which takes part of a preview's time.

    Args:
        segmentation: the result; in radiographs nothing is checked.
        volume: the scan.
        bundle: the model.
        labels: organ name by id, of those that were asked for.
    """
    if segmentation.areas:
        return AnatomyReport((AnatomyCheck("anatomy", None, "Anatomy: not checked, it is a single image."),))
    found = check_anatomy(segmentation.label, volume.affine, labels)
    scores = mirror_scores(bundle, segmentation.prepared)
    if scores is not None:
        return AnatomyReport((mirror_check(scores), *found.checks))
    reason = f"Sides of the body: not checked, {why_not(bundle, segmentation.prepared)}."
    return AnatomyReport((AnatomyCheck(SIDES, None, reason), *found.checks))
