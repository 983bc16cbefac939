"""Where an image lies, read from its header alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume


def read_grid(path: str | Path) -> Volume:
    """Return shape and affine of an image, as a volume whose voxels are all 0 and take no memory.

    Raises:
        SemganError: the file cannot be read.
    """
    from monai_semgan.io.itk import read_itk_place
    from monai_semgan.io.nifti import read_nifti_place
    from monai_semgan.io.volume import Volume

    path = Path(path)
    try:
        nifti = path.name.lower().endswith((".nii", ".nii.gz"))
        shape, place = read_nifti_place(path) if nifti else read_itk_place(path)
    except SemganError:
        raise
    except Exception as error:  # the libraries have no common class for what damaged files make them raise
        raise SemganError("not a readable image", remedy="copy or export it again", path=path) from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return Volume(np.broadcast_to(np.uint8(0), shape), place.affine, path, other_affines=place.others)
