"""Where an image lies, read from its header alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume


def read_grid(path: str | Path) -> Volume:
    """Return shape and affine of an image, as a volume whose voxels are all 0 and take no memory.

    Raises:
        SemganError: the file cannot be read.
    """
    from monai_semgan.io.volume import Volume

    path = Path(path)
    try:
        shape, affine = _nifti(path) if path.name.lower().endswith((".nii", ".nii.gz")) else _itk(path)
    except Exception as error:  # the libraries have no common class for what damaged files make them raise
        raise SemganError("not a readable image", remedy="copy or export it again", path=path) from error
    if len(shape) == 4 and shape[3] == 1:
        shape = shape[:3]
    return Volume(np.broadcast_to(np.uint8(0), shape), affine, path)


def _nifti(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    import nibabel

    from monai_semgan.io.nifti import UNIT_MM

    image: Any = nibabel.load(path)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= UNIT_MM.get(int(image.header["xyzt_units"]) % 8, 1.0)
    return tuple(image.shape), affine


def _itk(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    import SimpleITK

    from monai_semgan.io.itk import affine_of
    from monai_semgan.io.itk_header import check_header
    from monai_semgan.io.itk_names import readable_by_itk

    check_header(path)
    reader = SimpleITK.ImageFileReader()
    with readable_by_itk(path) as name:
        reader.SetFileName(name)
        reader.ReadImageInformation()
    return tuple(reader.GetSize()), affine_of(reader)
