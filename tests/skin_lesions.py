"""Made-up skin lesions in colours: skin tones, an irregular brown patch, hair, a vignette; and folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SKIN = np.array([(232, 190, 172), (210, 160, 130), (176, 122, 94), (124, 82, 62), (92, 60, 46)], dtype=np.float64)
"""From light to dark."""

SIZE = (96, 128)
"""Rows and columns."""


def lesion(seed: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A picture (rows, columns, 3) uint8 and its mask (rows, columns) uint8 of 0 and 255.

    Args:
        seed: the same seed gives the same lesion.
        size: rows and columns.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    place = np.array(size) * random.uniform(0.4, 0.6, 2)
    radius, depth = _radius_and_depth(rows - place[0], columns - place[1], min(size), random)
    inside = depth < 1
    tone = SKIN[random.integers(len(SKIN))] * random.uniform(0.95, 1.05)
    skin = tone + 6 * _texture(size, 6, random)[..., None]
    patch = tone * random.uniform(0.35, 0.6) * np.array([1.0, 0.82, 0.75]) + 14 * _texture(size, 3, random)[..., None]
    share = gaussian_filter(inside.astype(np.float64), radius * 0.06)[..., None]
    picture = skin * (1 - share) + patch * share
    for _ in range(random.integers(0, 5)):
        picture = np.where(_hair(rows, columns, size, random)[..., None], tone * 0.3, picture)
    picture = picture * _vignette(rows, columns, size, random)[..., None] + random.normal(0, 2, picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8), (inside * 255).astype(np.uint8)


def _radius_and_depth(
    down: np.ndarray, right: np.ndarray, edge: int, random: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Mean radius of a patch in pixels, and distance from its middle as a share of that of its border."""
    radius, angle = edge * random.uniform(0.16, 0.32), np.arctan2(down, right)
    border = np.full(angle.shape, radius)
    for order in (1, 2, 3, 5):
        border += radius * random.uniform(0, 0.12) * np.cos(order * angle + random.uniform(0, 2 * np.pi))
    return radius, np.hypot(down, right) / border


def _texture(size: tuple[int, int], sigma: float, random: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance."""
    noise = gaussian_filter(random.normal(size=size), sigma)
    return noise / noise.std()


def _hair(rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Pixels of a bent line one or two pixels wide, right across."""
    start, end, bend = random.uniform(0, size[0], 2).tolist() + [random.normal(0, 0.15 * size[0])]
    share = columns / size[1]
    line = start + (end - start) * share + bend * np.sin(np.pi * share)
    return np.abs(rows - line) < random.uniform(0.5, 1.0)


def _vignette(rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Brightness that falls off to the corners; in a third of all pictures to black, as through a dermatoscope."""
    middle = (np.array(size) - 1) / 2
    far = np.hypot(rows - middle[0], columns - middle[1]) / np.hypot(*middle)
    if random.random() < 1 / 3:
        return np.clip((0.85 - far) / 0.05, 0, 1)
    return 1 - random.uniform(0, 0.4) * far**2


def write_isic(folder: Path, count: int, first: int = 0) -> Path:
    """Write pictures and masks as ISIC has them: `NAME.jpg`, `NAME_segmentation.png`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        picture, mask = lesion(seed)
        Image.fromarray(picture).save(folder / f"ISIC_{seed:07d}.jpg", quality=92)
        Image.fromarray(mask).save(folder / f"ISIC_{seed:07d}_segmentation.png")
    return folder


def write_ph2(folder: Path, count: int) -> Path:
    """Write pictures and masks as PH2 has them, in folders of one lesion each; return the folder."""
    for seed in range(count):
        name, (picture, mask) = f"IMD{seed + 2:03d}", lesion(seed)
        for kind, image in (("Dermoscopic_Image", Image.fromarray(picture)), ("lesion", Image.fromarray(mask > 0))):
            place = folder / name / f"{name}_{kind}"
            place.mkdir(parents=True)
            image.save(place / f"{name}{'_lesion' if kind == 'lesion' else ''}.bmp")
    return folder
