"""A patient made of ellipsoids, for the other examples: four organs that differ in grey value, size and place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import monai_semgan as sg

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
CENTRES = {1: (75, 15, 15), 2: (60, -60, -30), 3: (-65, -58, -10), 4: (-105, -5, 25)}
HALF_AXES = {1: (55, 60, 45), 2: (20, 22, 40), 3: (22, 20, 40), 4: (30, 40, 35)}
HOUNSFIELD = {1: 110, 2: 190, 3: 190, 4: 140}
COLOURS = np.array([[0, 0, 0], [220, 90, 80], [90, 190, 100], [80, 140, 230], [240, 190, 60]])


def phantom(seed: int, spacing: float = 5.0) -> tuple[sg.Volume, sg.Volume]:
    """Make a CT and its label; the same seed makes the same patient."""
    random = np.random.default_rng(seed)
    affine = np.diag([spacing, spacing, spacing, 1.0])  # voxel index to mm: x to the right, y to the front, z up
    affine[:3, 3] = -160, -110, -90
    shape = (np.array([320, 220, 180]) / spacing).astype(int)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    inside = ((points[..., :2] / (150, 100)) ** 2).sum(axis=-1) < 1
    image = np.where(inside, 20.0, -1000.0)
    label = np.zeros(image.shape, dtype=np.uint8)
    for organ, centre in CENTRES.items():
        place = (points - centre - random.normal(0, 5, 3)) / HALF_AXES[organ] / random.uniform(0.85, 1.15)
        label[(place**2).sum(axis=-1) < 1] = organ
    for organ, value in HOUNSFIELD.items():
        image[label == organ] = value
    image += random.normal(0, 15, image.shape)
    return sg.Volume(image.astype(np.float32), affine), sg.Volume(label, affine)


def write_phantoms(folder: Path, seeds: range) -> list[dict[str, str]]:
    """Write phantoms as files, and return their entries of a data list."""
    entries = []
    for seed in seeds:
        image, label = phantom(seed)
        entry = {"image": f"patient_{seed}.nii.gz", "label": f"patient_{seed}_label.nii.gz"}
        sg.write_volume(image.array, image, folder / entry["image"])
        sg.write_label(label.array, label, folder / entry["label"])
        entries.append(entry)
    return entries


def draw(path: Path, *pairs: tuple[np.ndarray, np.ndarray]) -> None:
    """Draw axial planes `(I, J)` of images in HU with their labels, side by side, the patient's right on the left."""
    panels = []
    for image, label in pairs:
        grey = np.clip((image + 125) / 400, 0, 1)[..., None] * [255, 255, 255]
        colour = np.where(label[..., None] > 0, 0.5 * grey + 0.5 * COLOURS[label], grey)
        panels.append(np.pad(colour[::-1, ::-1].swapaxes(0, 1), ((0, 0), (1, 1), (0, 0))))
    picture = Image.fromarray(np.concatenate(panels, axis=1).astype(np.uint8))
    picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST).save(path)
