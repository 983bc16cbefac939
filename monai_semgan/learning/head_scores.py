"""How good a new structure is on scans that it was not learnt from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monai_semgan.inference.segmentation import segment
from monai_semgan.quality.overlap import dice, means_by_organ

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.learning.structure_scans import StructureScan
    from monai_semgan.utils.progress import Progress


def measure(bundle: Bundle, scans: Sequence[StructureScan], count: int, progress: Progress) -> dict[str, float]:
    """Compute the mean 3D Dice of new structures, of the preview as users get it.

    Args:
        bundle: with the head.
        scans: to measure on.
        count: how many of the last structures are new.
        progress: told before every scan.

    Returns:
        Mean over the scans by structure name; one that none of them shows, nor the model finds, is left out.
    """
    first = len(bundle.labels) + 1 - count
    found = []
    for number, scan in enumerate(scans):
        progress.update(number, len(scans), "measuring scan")
        label = segment(scan.entry.image, bundle, modality=scan.entry.modality).label
        known = {one: dice(label == first + one - 1, scan.truth == one) for one in scan.known}
        found.append({bundle.labels[first + one - 1]: value for one, value in known.items()})
    means = means_by_organ(found)
    return {name: round(value, 4) for name, value in means.items() if math.isfinite(value)}
