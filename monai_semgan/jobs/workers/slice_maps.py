"""The maps of a segmentation on its slices, as results keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.inversion.result import predictive_entropy
from monai_semgan.slicing.scan_maps import scan_maps

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation


def slice_maps(found: Segmentation) -> dict[str, tuple[np.ndarray, float, float, float]]:
    """Maps by name: `(D, H, W)` in the units of the scan, lowest and highest possible value, value outside."""
    low, high = found.prepared.value_range
    result = found.inversion
    if result is None:
        maps = scan_maps((low, high), predictive_entropy([found.probabilities]))
    else:
        maps = scan_maps((low, high), result.uncertainty, result.reconstruction[:, 0], result.residual)
    limits = {"uncertainty": (0.0, 1.0), "reconstruction": (low, high), "residual": (0.0, high - low)}
    return {name: (array.numpy(), *limits[name], float(fill)) for name, (array, fill) in maps.items()}
