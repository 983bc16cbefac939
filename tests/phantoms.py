"""A patient in code: no symmetry, four organs, on any grid. Shared by the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # the environment of the extension's tests has no package but numpy of those we need
    from monai_semgan.io.volume import Volume

CENTRE = np.array([12.0, -25.0, 40.0])
"""Of the body, in RAS mm."""

BODY = (150.0, 100.0, 90.0)
"""Half axes in mm; the body is a cylinder along z."""

ORGANS = {
    1: ((75.0, 15.0, 15.0), (55.0, 60.0, 45.0)),  # liver: patient's right (+x), in front
    2: ((60.0, -60.0, -30.0), (20.0, 22.0, 40.0)),  # right kidney, lower than the left one
    3: ((-65.0, -58.0, -10.0), (22.0, 20.0, 40.0)),  # left kidney
    4: ((-105.0, -5.0, 25.0), (30.0, 40.0, 35.0)),  # spleen
}
"""Class: centre relative to that of the body, half axes; in mm."""

STRUCTURES = dict(
    enumerate(
        (
            "liver", "right kidney", "left kidney", "spleen", "gallbladder", "oesophagus", "stomach", "aorta",
            "inferior vena cava", "portal vein and splenic vein", "pancreas", "right adrenal gland",
            "left adrenal gland",
        ),
        start=1,
    )
)  # fmt: skip
"""Names by id of a model that finds more than the phantom holds: those of the Multi-Atlas Labeling challenge."""

CT_VALUES = {"air": -1000.0, "body": 20.0, 1: 110.0, 2: 190.0, 3: 190.0, 4: 140.0}
MR_VALUES = {"air": 3.0, "body": 120.0, 1: 180.0, 2: 420.0, 3: 420.0, 4: 350.0}


def labels_at(points: np.ndarray) -> np.ndarray:
    """Class 0 to 4 at points (..., 3) in RAS mm."""
    label = np.zeros(points.shape[:-1], dtype=np.uint8)
    for index, (centre, axes) in ORGANS.items():
        label[(((points - CENTRE - centre) / axes) ** 2).sum(axis=-1) < 1] = index
    return label


def body_at(points: np.ndarray) -> np.ndarray:
    """Whether points (..., 3) in RAS mm lie in the body."""
    place = (points - CENTRE) / BODY
    return ((place[..., :2] ** 2).sum(axis=-1) < 1) & (np.abs(place[..., 2]) < 1)


def values_at(points: np.ndarray, modality: str = "CT") -> np.ndarray:
    """Image values at points (..., 3) in RAS mm."""
    values = CT_VALUES if modality == "CT" else MR_VALUES
    image = np.where(body_at(points), values["body"], values["air"]).astype(np.float32)
    label = labels_at(points)
    for index in ORGANS:
        image[label == index] = values[index]
    return image


def points_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(I, J, K, 3) RAS mm of the voxels of a grid."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        a, b = [other for other in range(3) if other != axis]
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def grid(
    spacing: tuple[float, float, float] = (4.0, 4.0, 6.0),
    *,
    codes: str = "LAS",
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    field: tuple[float, float, float] = (330.0, 240.0, 200.0),
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Affine and shape of a grid around the body.

    Args:
        spacing: mm along x, y and z before rotation.
        codes: direction of the storage axes, for example ``"PSR"``.
        degrees: rotation of the grid about x, y and z.
        field: extent in mm along x, y and z before rotation.
    """
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

    shape = tuple(max(1, round(f / s)) for f, s in zip(field, spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag(spacing)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    stored = [0, 0, 0]
    for old, (new, _) in enumerate(change):
        stored[int(new)] = shape[old]
    return affine @ inv_ornt_aff(change, shape), (stored[0], stored[1], stored[2])


def patient(affine: np.ndarray, shape: tuple[int, ...], modality: str = "CT", seed: int | None = None) -> Volume:
    """The patient's image on a grid; with noise when a seed is given."""
    from monai_semgan.io.volume import Volume

    image = values_at(points_of(affine, shape), modality)
    if seed is not None:
        image = (
            np.abs(image + np.random.default_rng(seed).normal(0, 4, shape))
            if modality == "MR"
            else (image + np.random.default_rng(seed).normal(0, 15, shape))
        )
    return Volume(image.astype(np.float32), affine)


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Writes an array as NIfTI and returns the path."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array, np.diag([-2.0, 2.0, 3.0, 1.0]) if affine is None else affine), path)
    return path


def save_patient(folder: Path, name: str, modality: str = "CT", label: bool = True, **settings: Any) -> dict[str, str]:
    """Writes image and label of the patient and returns an entry of a data list with relative names."""
    affine, shape = grid(**settings)
    save_nifti(folder / f"{name}.nii.gz", patient(affine, shape, modality, seed=len(name)).array, affine)
    entry = {"image": f"{name}.nii.gz", "patient": name, "modality": modality}
    if label:
        save_nifti(folder / f"{name}_label.nii.gz", labels_at(points_of(affine, shape)), affine)
        entry["label"] = f"{name}_label.nii.gz"
    return entry


def save_datalist(folder: Path, **sections: Any) -> Path:
    """Writes a data list and returns its path."""
    path = folder / "datalist.json"
    path.write_text(json.dumps(sections))
    return path


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks."""
    return 2.0 * float((a & b).sum()) / max(1.0, float(a.sum()) + float(b.sum()))


def organ_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Dice over the organs."""
    return float(np.mean([dice(a == index, b == index) for index in ORGANS]))
