"""Where an image lies, read from its header alone, and labels that are laid onto its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.label_app.label_numbers import Ids, numbered, renumbered, told_names

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

NIFTI = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")

STORED_ELSEWHERE_MM = 1e-2
"""A label whose header differs by more from that of its scan is written anew on the grid of the scan."""


def read_grid(path: str | Path) -> Volume:
    """Return shape and affine of an image, as a volume whose voxels are all 0 and take no memory.

    Raises:
        SemganError: the file cannot be read.
    """
    from monai_semgan.io.header_grid import read_grid as read

    return read(path)


@dataclass(frozen=True)
class LaidLabel:
    """A label on the grid of its image.

    Args:
        array: (I, J, K) uint8 label ids.
        names: of ids, as the file or the client tells; in the file the ids are these.
    """

    array: np.ndarray
    names: Mapping[int, str]


def lay_onto(path: Path, image: Volume, models: Ids | None = None, label_info: object = None) -> LaidLabel:
    """Make sure that a label fills its image's points in space, and write it anew if it is stored otherwise.

    It may run along other axes, or hold a part of the image. Other grids are refused before the voxels are read.

    Args:
        path: the label; afterwards on exactly the grid of the image, in the same format.
        image: see `read_grid`.
        models: ids of the models by name, see `label_numbers.model_ids`: those that segments named in the file get.
        label_info: names of the ids in a file that does not name them, as MONAI Label's clients send it.

    Raises:
        SemganError: the label cannot be read, or lies on another grid, with the difference.
    """
    from monai_semgan.io.placement import placed_on, placement_on
    from monai_semgan.io.reading import check_geometry, read_label
    from monai_semgan.io.seg_nrrd import read_numbered

    grid = read_grid(path)
    if len(grid.array.shape) != 3:
        read_label(path)  # tells what is wrong with it
    check_geometry(grid.affine, path)
    placement = placement_on(grid, image, part=True)
    ids, names = _named_in_file(path, models or {})
    label = read_label(path) if ids is None else read_numbered(path, ids)
    changes = {} if names else renumbered(label_info, models or {})
    if changes and ids_in(label.array) <= changes.keys():  # else it does not tell of this file
        label = replace(label, array=_changed(label.array, changes))
        names = {changes[index]: name for index, name in told_names(label_info).items()}
    elif placement is None and ids is None and _header_agrees(grid, image):
        return LaidLabel(label.array, names)
    placed = placed_on(label, image, placement).array
    _write(placed, image, path, ids)
    return LaidLabel(placed, names)


def ids_in(array: np.ndarray) -> frozenset[int]:
    """Return the label ids of a uint8 array without the background; plane by plane, indices taking eight bytes each."""
    found = np.zeros(256, bool)
    for plane in array:
        found[plane] = True
    return frozenset(map(int, np.flatnonzero(found))) - {0}


def _named_in_file(path: Path, models: Ids) -> tuple[dict[int, int] | None, dict[int, str]]:
    """Label id by number of the segment, None where the values are right as they are, and names by id."""
    from monai_semgan.io.seg_nrrd import read_segments

    if not path.name.lower().endswith(".seg.nrrd"):
        return None, {}
    layers, segments = read_segments(path)
    stored = {segment.number: (segment.name, value) for segment, _, value in segments}
    ids = numbered(stored, models)
    names = {ids[number]: name for number, (name, _) in stored.items()}
    changed = layers > 1 or any(ids[number] != value for number, (_, value) in stored.items())
    return (ids if segments and changed else None), names


def _changed(array: np.ndarray, changes: Mapping[int, int]) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    for old, new in changes.items():
        table[old] = new
    return table[array]


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


def _write(array: np.ndarray, image: Volume, path: Path, ids: Mapping[int, int] | None) -> None:
    from monai_semgan.io.seg_nrrd import write_with_segments_of
    from monai_semgan.io.writing import write_volume
    from monai_semgan.utils.files import written_aside

    if not path.name.lower().endswith(".seg.nrrd"):
        write_volume(array, image, path, np.uint8)
        return
    with written_aside(path) as temporary:
        write_with_segments_of(path, array, image, temporary, ids)
