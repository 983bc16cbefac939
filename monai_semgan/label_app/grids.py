"""Where an image lies, read from its header alone, and labels that are laid onto its grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

NIFTI = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
HEADERS = (".nrrd", ".nhdr", ".mha", ".mhd")

STORED_ELSEWHERE_MM = 1e-2
"""A label whose header differs by more from that of its scan is written anew on the grid of the scan."""


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
    from monai_semgan.io.itk import read_itk_place
    from monai_semgan.io.nifti import read_nifti_place
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.volume import Volume

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


def lay_onto(path: Path, image: Volume) -> np.ndarray:
    """Make sure that a label fills its image's points in space, and write it anew if it is stored otherwise.

    It may run along other axes, or hold a part of the image. Other grids are refused before the voxels are read.

    Args:
        path: the label; afterwards on exactly the grid of the image, in the same format.
        image: see `read_grid`.

    Returns:
        (I, J, K) uint8 label ids on the grid of the image.

    Raises:
        SemganError: the label cannot be read, or lies on another grid, with the difference.
    """
    from monai_semgan.io.placement import placed_on, placement_on
    from monai_semgan.io.reading import check_geometry, read_label

    grid = read_grid(path)
    if len(grid.array.shape) != 3:
        read_label(path)  # tells what is wrong with it
    check_geometry(grid.affine, path)
    placement = placement_on(grid, image, part=True)
    label = read_label(path)
    if placement is None and _header_agrees(grid, image):
        return label.array
    placed = placed_on(label, image, placement).array
    _write(placed, image, path)
    return placed


def _header_agrees(label: Volume, image: Volume) -> bool:
    """Tell whether every program sees a label where it sees its image."""
    from monai_semgan.io.nifti_forms import distance

    assert label.path is not None
    shape, own = image.array.shape, label.affine
    if label.path.name.lower().endswith(NIFTI):
        off = max(distance(own, image.affine, shape), distance(label.itk_affine, image.itk_affine, shape))
    else:
        off = distance(own, image.itk_affine, shape)
    return off <= STORED_ELSEWHERE_MM


def _write(array: np.ndarray, image: Volume, path: Path) -> None:
    from monai_semgan.io.seg_nrrd import write_with_segments_of
    from monai_semgan.io.writing import write_volume
    from monai_semgan.utils.files import written_aside

    if not path.name.lower().endswith(".seg.nrrd"):
        write_volume(array, image, path, np.uint8)
        return
    with written_aside(path) as temporary:
        write_with_segments_of(path, array, image, temporary)
