"""Writes NIfTI plane by plane, for maps that are too large to be held in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.openers import ImageOpener

from monai_semgan.io.nifti import nifti_image
from monai_semgan.utils.files import check_output, written_aside

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume


def write_map_slabs(slabs: Iterable[np.ndarray], like: Volume, path: str | Path) -> Path:
    """Write a map of real values as float32 on the grid of `like`; what is read back is the same as written at once.

    Args:
        slabs: (I, J, k) each, in the order of the last axis; together (I, J, K).
        like: the volume whose grid the map has.
        path: ends with `.nii` or `.nii.gz`.

    Raises:
        SemganError: the place cannot be written, or the disk is full.
        ValueError: the slabs do not make up the grid.
    """
    path = check_output(path, (".nii", ".nii.gz"))
    shape = like.array.shape
    header, number = _header(like), 0
    with written_aside(path) as temporary, ImageOpener(str(temporary), "wb") as stream:
        header.write_to(stream)
        for slab in slabs:
            if slab.shape[:2] != shape[:2]:
                raise ValueError(f"slab of shape {slab.shape}, the grid {shape}")
            stream.write(slab.astype(header.get_data_dtype(), copy=False).tobytes(order="F"))
            number += slab.shape[2]
        if number != shape[2]:
            raise ValueError(f"{number} planes, the grid has {shape[2]}")
    return path


def _header(like: Volume) -> Any:
    """Header of a float32 image on the grid, whose voxels follow at once."""
    image = nifti_image(np.broadcast_to(np.float32(0), like.array.shape), like)
    image.update_header()
    header = image.header
    header.set_data_offset(0)
    header.set_slope_inter(1.0, 0.0)
    return header
