"""Where an image lies, read from its header alone where the format allows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.itk import read_itk_place
from monai_semgan.io.nifti import read_nifti_place
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume

NIFTI = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
HEADERS = (".nrrd", ".nhdr", ".mha", ".mhd")


def read_grid(path: str | Path) -> Volume:
    """Return shape and affine of an image, as a volume whose voxels are all 0 and take no memory.

    Raises:
        SemganError: the file cannot be read.
    """
    path = Path(path)
    try:
        return _grid(path)
    except SemganError:
        raise
    except Exception as error:  # the libraries have no common class for what damaged files make them raise
        raise SemganError("not a readable image", remedy="copy or export it again", path=path) from error


def _grid(path: Path) -> Volume:
    name, header = path.name.lower(), None
    if name.endswith(NIFTI):
        shape, place, header = read_nifti_place(path)
    elif name.endswith(HEADERS):
        shape, place = read_itk_place(path)
    else:  # of other formats the header alone does not tell
        volume = read_volume(path)
        return Volume(np.broadcast_to(np.uint8(0), volume.array.shape), volume.affine, path, volume.header)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    return Volume(np.broadcast_to(np.uint8(0), shape), place.affine, path, header, other_affines=place.others)
