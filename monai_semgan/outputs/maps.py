"""Maps beside the label: probabilities, uncertainty, and what the inversion rendered, on the scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.inversion.result import predictive_entropy
from monai_semgan.io.streaming import write_map_slabs
from monai_semgan.slicing.scan_maps import scan_maps
from monai_semgan.utils.files import check_output_folder

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume


def check_map_folder(folder: str | Path) -> Path:
    """Make the folder, before long computations.

    Raises:
        SemganError: if it cannot be made or written.
    """
    return check_output_folder(folder, "--maps", "uncertainty.nii.gz")


def write_maps(segmentation: Segmentation, volume: Volume, labels: Mapping[int, str], folder: str | Path) -> list[Path]:
    """Write all maps of a segmentation as NIfTI, a few planes at a time.

    `uncertainty` is the normalised entropy (0 certain, 1 undecided), `probability_*` one file per organ, and after an
    inversion `reconstruction` and `residual` in the units of the scan.

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
    folder = check_map_folder(folder)
    result, value_range = segmentation.inversion, segmentation.prepared.value_range
    if result is None:
        slices = scan_maps(value_range, predictive_entropy([segmentation.probabilities]))
    else:
        slices = scan_maps(value_range, result.uncertainty, result.reconstruction[:, 0], result.residual)
    for index, name in labels.items():
        slices[f"probability_{name.replace(' ', '_')}"] = segmentation.probabilities[:, index], 0.0
    slabs = segmentation.prepared.geometry.restore_slabs
    return [write_map_slabs(slabs(m, fill), volume, folder / f"{name}.nii.gz") for name, (m, fill) in slices.items()]
