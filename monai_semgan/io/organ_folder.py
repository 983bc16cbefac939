"""A folder with one label file per organ, named after it, as TotalSegmentator writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import label_endings, stem
from monai_semgan.io.label_ids import id_type
from monai_semgan.io.reading import ANY_ID, read_label
from monai_semgan.io.volume import Volume
from monai_semgan.organs import structure_key


def is_label_file(path: Path) -> bool:
    """Whether a file is visible and has the ending of a label file."""
    return path.name.lower().endswith((*label_endings(), ".mhd")) and path.name[0] != "." and path.is_file()


def organ_files(folder: Path, labels: Mapping[int, str]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Files of a folder by the organ that they are named after, and names of those that are no organ of the model.

    Args:
        folder: nothing is found in one that does not exist.
        labels: organ name by id; spellings such as `kidney_right` do not matter.

    Raises:
        SemganError: two files are named after one organ.
    """
    wanted = {structure_key(name): name for name in labels.values()}
    organs: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not is_label_file(path):
            continue
        name = wanted.get(structure_key(stem(path)))
        if name is None:
            others.append(stem(path))
        elif name in organs:
            problem = f"{organs[name].name} and {path.name} are both the {name}"
            raise SemganError(problem, remedy="keep one", path=folder)
        else:
            organs[name] = path
    return organs, tuple(others)


def read_organ_folder(folder: Path, labels: Mapping[int, str] | None, like: Volume | None = None) -> Volume:
    """Read the files of the organs into one label map.

    Args:
        folder: of the files; every voxel that is not 0 is of the organ.
        labels: organ name by id.
        like: the image, on whose grid they have to lie; otherwise on that of the first file.

    Raises:
        SemganError: nothing tells which organs are meant, none is there, two share voxels, or a file cannot be read.
    """
    if labels is None:
        problem = "holds a file for every organ, and nothing tells which organs are meant"
        raise SemganError(problem, remedy='add "labels": {"1": "liver", ...} to the data list', path=folder)
    files, others = organ_files(folder, labels)
    if not files:
        problem = f"holds none of the organs {', '.join(labels.values())}"
        raise SemganError(
            problem, remedy=f"rename its files; there are {', '.join(others[:12]) or 'none'}", path=folder
        )
    label: np.ndarray | None = None
    for index, name in labels.items():
        if name not in files:
            continue
        volume = read_label(files[name], like, ANY_ID)
        like = like or volume
        mask = volume.array != 0
        label = np.zeros(mask.shape, id_type(max(labels))) if label is None else label
        shared = np.unique(label[mask & (label != 0)])
        if len(shared):
            problem = f"{name} and {labels[int(shared[0])]} share voxels"
            raise SemganError(problem, remedy="separate them: a voxel can be of one organ only", path=folder)
        label[mask] = index
    assert label is not None and like is not None
    return Volume(label, like.affine, folder, spacing_known=like.spacing_known)
