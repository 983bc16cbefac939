"""One file per organ, and volumes with mean intensities, named as TotalSegmentator names them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.io.writing import write_label
from monai_semgan.organs import SIDES, structure_of
from monai_semgan.utils.files import check_output, check_output_folder, write_utf8
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

ENDING = ".nii.gz"

SPELLINGS = {"oesophagus": "esophagus", "gall_bladder": "gallbladder"}
"""How TotalSegmentator spells what models may call otherwise."""


def organ_keys(labels: Mapping[int, str]) -> dict[int, str]:
    """Return a name by label id that is safe as a file's: `kidney_right`, the side last.

    Args:
        labels: organ name by id.

    Examples:
        >>> organ_keys({1: "liver", 2: "right kidney", 3: "Inferior vena cava"})
        {1: 'liver', 2: 'kidney_right', 3: 'inferior_vena_cava'}
    """
    keys: dict[int, str] = {}
    for index, name in labels.items():
        key, taken = _key(name) or str(index), {other.lower() for other in keys.values()}
        while key.lower() in taken:
            key = f"{key}_{index}"
        keys[index] = key
    return keys


def _key(name: str) -> str:
    """A name of a structure that is known here in lower case; others as they are."""
    plain = name.lower() if structure_of(name) is not None else name
    words = [word for word in re.split(r"[^\w\-]+|_", plain) if word]
    sides = [word for word in words if word.lower() in SIDES]
    key = "_".join([*(word for word in words if word.lower() not in SIDES), *sides])
    return SPELLINGS.get(key, key)


def write_organ_files(label: np.ndarray, volume: Volume, labels: Mapping[int, str], folder: str | Path) -> list[Path]:
    """Write a mask of 0 and 1 per organ, such as `liver.nii.gz`, also of those that were not found.

    Args:
        label: ids (I, J, K).
        volume: the scan, whose grid they get.
        labels: organ name by id.
        folder: is made when missing.

    Returns:
        The files.

    Raises:
        SemganError: one cannot be written.
    """
    folder = check_output_folder(folder, "--split", f"organ{ENDING}")
    files = {index: folder / f"{key}{ENDING}" for index, key in organ_keys(labels).items()}
    for file in files.values():
        check_output(file, (ENDING,), () if volume.path is None else (volume.path,))
    return [write_label(label == index, volume, file) for index, file in files.items()]


def organ_statistics(
    label: np.ndarray, volume: Volume, labels: Mapping[int, str]
) -> dict[str, dict[str, float | None]]:
    """Measure every organ on the scan's own grid.

    Args:
        label: ids (I, J, K).
        volume: the scan.
        labels: organ name by id.

    Returns:
        By name `volume` in mm³, and `intensity`, the mean of the scan's values (HU in CT), None where an organ was not
        found. Of a single image `area` in mm², or `pixels` where the image does not tell how large one is.
    """
    counts, sums = np.zeros(256, np.int64), np.zeros(256)
    for plane, values in zip(label, volume.array, strict=True):
        ids = plane.ravel().astype(np.uint8, copy=False)
        counts += np.bincount(ids, minlength=256)
        sums += np.bincount(ids, weights=values.ravel(), minlength=256)
    name, size = _measure(volume)
    return {
        key: {
            name: round(float(counts[index]) * size, 3),
            "intensity": round(float(sums[index] / counts[index]), 3) if counts[index] else None,
        }
        for index, key in organ_keys(labels).items()
    }


def _measure(volume: Volume) -> tuple[str, float]:
    """What is measured, and how much of it a voxel is."""
    if not volume.spacing_known:
        return "pixels", 1.0
    size = volume.voxel_ml * 1000.0
    if not volume.projection:
        return "volume", size
    thin = max(axis for axis in range(3) if volume.array.shape[axis] == 1)
    return "area", size / float(volume.spacing[thin])


def write_statistics(label: np.ndarray, volume: Volume, labels: Mapping[int, str], path: str | Path) -> Path:
    """Write `organ_statistics` as JSON.

    Raises:
        SemganError: it cannot be written.
    """
    path = check_output(path, (".json",))
    return write_utf8(path, json_text(organ_statistics(label, volume, labels), indent=2) + "\n")
