"""Maps beside the label: probabilities, uncertainty, and what the inversion rendered, on the scan's own grid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from monai_semgan.inversion.result import predictive_entropy
from monai_semgan.io.image2d_colour import WEIGHTS
from monai_semgan.io.image2d_writing import write_image2d
from monai_semgan.io.streaming import write_map_slabs
from monai_semgan.slicing.scan_maps import scan_maps
from monai_semgan.utils.files import check_output_folder

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume


@dataclass(frozen=True, eq=False)
class SliceMap:
    """A map on the slices, in the units of the scan.

    Attributes:
        values: `(D, H, W)`.
        outside: value where there are no slices.
        low: lowest possible value.
        high: highest possible value.
    """

    values: torch.Tensor
    outside: float
    low: float
    high: float


def slice_maps(segmentation: Segmentation) -> dict[str, SliceMap]:
    """Return the maps of a segmentation by name.

    `uncertainty` is the normalised entropy (0 certain, 1 undecided); after an inversion there are `reconstruction` and
    `residual`, too. In colours they are the brightness of the reconstruction, and the mean residual of red, green and
    blue.
    """
    low, high = segmentation.prepared.value_range
    result = segmentation.inversion
    if result is None:
        maps = scan_maps((low, high), predictive_entropy([segmentation.probabilities]))
    else:
        maps = scan_maps((low, high), result.uncertainty, bright(result.reconstruction), result.residual)
    limits = {"uncertainty": (0.0, 1.0), "reconstruction": (low, high), "residual": (0.0, high - low)}
    return {name: SliceMap(values, float(outside), *limits[name]) for name, (values, outside) in maps.items()}


def write_maps(segmentation: Segmentation, volume: Volume, labels: Mapping[int, str], folder: str | Path) -> list[Path]:
    """Write all maps of a segmentation as NIfTI, a few planes at a time; what was rendered in colours as PNG.

    Besides those of `slice_maps` there is one file `probability_*` per organ.

    Args:
        segmentation: the result.
        volume: the scan.
        labels: organ name by id.
        folder: is made when missing.

    Returns:
        The files.

    Raises:
        SemganError: if a file cannot be written.
    """
    folder = check_output_folder(folder, "--maps", "uncertainty.nii.gz")
    slices = {name: (one.values, one.outside) for name, one in slice_maps(segmentation).items()}
    colours = colour_reconstruction(segmentation)
    if colours is not None:
        del slices["reconstruction"]
    for index, name in labels.items():
        safe = re.sub(r"[^\w.-]", "_", name)
        slices[f"probability_{safe}"] = segmentation.probabilities[:, index], 0.0
    slabs = segmentation.prepared.geometry.restore_slabs
    files = [write_map_slabs(slabs(m, fill), volume, folder / f"{name}.nii.gz") for name, (m, fill) in slices.items()]
    return files if colours is None else [*files, write_image2d(colours, folder / "reconstruction.png")]


def bright(slices: torch.Tensor) -> torch.Tensor:
    """Compute the brightness `(D, H, W)` of slices `(D, C, H, W)`; grey ones have one channel."""
    if slices.shape[1] == 1:
        return slices[:, 0]
    return torch.einsum("dchw,c->dhw", slices, torch.as_tensor(WEIGHTS, dtype=slices.dtype))


def colour_reconstruction(segmentation: Segmentation) -> np.ndarray | None:
    """Return what was rendered on the pixels of the picture, `(3, I, J, K)` uint8; None unless it is in colours."""
    if segmentation.inversion is None or segmentation.inversion.reconstruction.shape[1] == 1:
        return None
    scaled = (segmentation.inversion.reconstruction.clamp(-1, 1) + 1) * 127.5
    return segmentation.prepared.geometry.restore(scaled).round().clip(0, 255).astype(np.uint8)
