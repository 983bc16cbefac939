"""Pictures of slices with coloured labels, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from monai_semgan.organs import find_organ
from monai_semgan.slicing.encoding import as_pictures
from monai_semgan.utils.files import check_output, written_aside

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation

COLOURS = (
    (0, 0, 0), (221, 82, 76), (88, 190, 110), (86, 140, 235), (240, 196, 66),
    (190, 110, 210), (80, 200, 210), (240, 140, 60), (160, 160, 160), (150, 110, 80),
)  # fmt: skip
"""Colour (red, green, blue) by label id of what has no name; ids beyond the last begin again at 1."""

OPACITY = 0.45
LEGEND_HEIGHT, LEGEND_LEFT = 18, 4


def palette_of(names: Mapping[int, str]) -> np.ndarray:
    """Return the colours `(256, 3)` by label id: those of the structures, as in label files; others as in `COLOURS`."""
    palette = np.zeros((256, 3), dtype=np.float32)
    palette[1:] = [COLOURS[(index - 1) % (len(COLOURS) - 1) + 1] for index in range(1, 256)]
    for index, name in names.items():
        palette[index] = find_organ(name, index).colour
    return palette


def blend(image: np.ndarray, label: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """Draw labels over an image.

    Args:
        image: `(H, W)` in [-1, 1], or `(H, W, 3)` in colours.
        label: ids `(H, W)`.
        names: structure name by id, which says the colour.

    Returns:
        `(H, W, 3)` uint8.
    """
    channels = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
    plain = (np.clip(channels, -1, 1) + 1) * 127.5
    shown = (label > 0)[..., None]
    colours = palette_of(names)[label]
    return np.where(shown, plain * (1 - OPACITY) + colours * OPACITY, plain).round().astype(np.uint8)


def as_radiologists_see(plane: np.ndarray) -> np.ndarray:
    """Turn a plane whose axes run to the patient's left and to the front or head so that these are right and up."""
    return np.ascontiguousarray(np.rot90(plane, 1, (0, 1)))


def grid(panels: Sequence[np.ndarray], columns: int, gap: int = 2) -> np.ndarray:
    """Put panels `(H, W, 3)` of one size side by side, row by row, on black."""
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // columns)
    image_grid = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), dtype=np.uint8)
    for number, panel in enumerate(panels):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        image_grid[top : top + height, left : left + width] = panel
    return image_grid


def with_legend(image_grid: np.ndarray, labels: Mapping[int, str]) -> Image.Image:
    """Draw the organs' colours and names below, in as many lines as they need."""
    height, width = image_grid.shape[:2]
    places = _legend_places(labels, width)
    lines = 1 + max((line for _, line in places.values()), default=0)
    picture = Image.new("RGB", (width, height + LEGEND_HEIGHT * lines))
    picture.paste(Image.fromarray(image_grid), (0, 0))
    draw = ImageDraw.Draw(picture)
    for index, (left, line) in places.items():
        top = height + 3 + LEGEND_HEIGHT * line
        draw.rectangle((left, top + 1, left + 10, top + 11), fill=find_organ(labels[index], index).colour)
        draw.text((left + 14, top), labels[index], fill=(230, 230, 230))
    return picture


def _legend_places(labels: Mapping[int, str], width: int) -> dict[int, tuple[int, int]]:
    """Left edge and line of every entry of a legend, by label id; what does not fit into a line begins the next."""
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    places: dict[int, tuple[int, int]] = {}
    left, line = LEGEND_LEFT, 0
    for index, name in labels.items():
        needed = 26 + int(measure.textlength(name))
        if left > LEGEND_LEFT and left + needed > width:
            left, line = LEGEND_LEFT, line + 1
        places[index] = (left, line)
        left += needed
    return places


def save_picture(picture: Image.Image, path: str | Path) -> Path:
    """Write a PNG, all or nothing.

    Raises:
        SemganError: if it cannot be written.
    """
    path = check_output(path, (".png",))
    with written_aside(path) as temporary:
        picture.save(temporary, format="PNG")
    return path


def volume_overlay(
    image: np.ndarray, label: np.ndarray, labels: Mapping[int, str], count: int = 12, columns: int = 4
) -> Image.Image:
    """Draw slices of a stack on an image grid, those with organs spread evenly.

    Args:
        image: `(D, H, W)` in [-1, 1], rows to the left, columns to the front, slices to the head; or `(D, H, W, 3)`.
        label: ids `(D, H, W)`.
        labels: organ name by id.
        count: number of slices.
        columns: slices in a row.
    """
    used = np.flatnonzero((label > 0).any((1, 2)))
    first, last = (used[0], used[-1]) if used.size else (0, len(image) - 1)
    chosen = np.unique(np.linspace(last, first, min(count, len(image))).round().astype(int))[::-1]
    scale = max(1, round(192 / image.shape[1]))
    panels = [blend(image[i], label[i], labels) for i in chosen]
    panels = [np.kron(as_radiologists_see(p), np.ones((scale, scale, 1), np.uint8)) for p in panels]
    return with_legend(grid(panels, min(columns, len(panels))), labels)


def save_overlay(segmentation: Segmentation, labels: Mapping[int, str], path: str | Path) -> Path:
    """Write the overlay of a segmentation on the slices that the model saw.

    Raises:
        SemganError: if it cannot be written.
    """
    image = as_pictures(segmentation.prepared.image)
    return save_picture(volume_overlay(image, label_on_slices(segmentation), labels), path)


def label_on_slices(segmentation: Segmentation) -> np.ndarray:
    """Return the label, uint8 `(D, H, W)`, on the slices that the model saw."""
    return segmentation.prepared.geometry.extract(segmentation.label, "nearest").numpy().astype(np.uint8)
