"""Check the anatomy of a segmentation, and whether the body looks mirrored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from monai_semgan.inference.mirror import mirror_check, mirror_scores
from monai_semgan.quality.anatomy import AnatomyReport, check_anatomy

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume


def examine(segmentation: Segmentation, volume: Volume, bundle: Bundle, labels: Mapping[int, str]) -> AnatomyReport:
    """Check the labels of a segmentation, and whether the body looks mirrored, which takes part of a preview's time.

    Args:
        segmentation: the result; there is nothing to check in radiographs.
        volume: the scan.
        bundle: the model.
        labels: organ name by id, of those that were asked for.
    """
    if segmentation.areas:
        return AnatomyReport(())
    found = check_anatomy(segmentation.label, volume.affine, labels)
    scores = mirror_scores(bundle, segmentation.prepared)
    return found if scores is None else AnatomyReport((mirror_check(scores), *found.checks))
