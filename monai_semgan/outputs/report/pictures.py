"""Pictures of a report: organs in three planes, and the curve by slice."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from monai_semgan.outputs.overlay import as_pictures, as_radiologists_see, blend

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation

WIDTH = 300
LETTERS = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "PAHF"}
"""What lies left, right, above and below in a picture of each plane."""

CURVE_SIZE = (640, 120)


def organ_pictures(
    segmentation: Segmentation, label: np.ndarray, index: int, names: Mapping[int, str]
) -> dict[str, str]:
    """Return PNG data addresses by plane, through the middle of an organ; `axial` alone for single images.

    The patient's right is on the left of axial and coronal pictures, as radiologists hang them.

    Args:
        segmentation: the result.
        label: on its slices, see `label_on_slices`.
        index: id of the organ.
        names: structure name by id, which says the colours.
    """
    prepared = segmentation.prepared
    image = as_pictures(prepared.image)
    where = np.argwhere(label == index)
    if not len(where):
        return {}
    d, h, w = (int(v) for v in _middle(where))
    pixel, distance = _spacing(segmentation)
    planes = {"axial": (image[d], label[d], pixel, pixel)}
    if image.shape[0] > 1:
        planes["coronal"] = (image[:, :, w].T, label[:, :, w].T, pixel, distance)
        planes["sagittal"] = (image[:, h].T, label[:, h].T, pixel, distance)
    return {
        name: data_address(
            _panel(
                name, blend(plane, ids, names), plane.shape[1] * up_mm / (plane.shape[0] * across_mm), len(image) > 1
            )
        )
        for name, (plane, ids, across_mm, up_mm) in planes.items()
    }


def data_address(picture: Image.Image) -> str:
    """Encode an image as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")  # the strongest compression takes 7 times as long and saves a tenth
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def curve_svg(values: Sequence[float | None], slices: Sequence[int], last: int, name: str) -> str:
    """Draw a curve from the feet (left) to the head (right) as SVG.

    Args:
        values: one for every slice in `slices`; where None stands, the curve has a gap.
        slices: their numbers.
        last: number of the scan's last slice.
        name: a plain word.
    """
    width, height = CURVE_SIZE
    top = max((value for value in values if value is not None), default=0.0) or 1e-6
    step = (width - 50) / max(last, 1)
    lines = "".join(
        f'<polyline points="{points}" fill="none" stroke="#2563a8" stroke-width="1.6" stroke-linecap="round"/>'
        for points in _stretches(values, slices, step, top)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name} by slice, largest {top:.3f}">'
        f'<line x1="40" y1="{height - 20}" x2="{width - 10}" y2="{height - 20}" stroke="#888"/>'
        f'<line x1="40" y1="15" x2="40" y2="{height - 20}" stroke="#888"/>'
        f"{lines}"
        f'<text x="36" y="20" text-anchor="end">{top:.2f}</text>'
        f'<text x="36" y="{height - 18}" text-anchor="end">0</text>'
        f'<text x="40" y="{height - 5}">feet, slice 0</text>'
        f'<text x="{width - 10}" y="{height - 5}" text-anchor="end">head, slice {last}</text></svg>'
    )


def _stretches(values: Sequence[float | None], slices: Sequence[int], step: float, top: float) -> Iterator[str]:
    """Yield the points of every stretch of the curve without gaps; a lone one twice, so that it is drawn as a dot."""
    height = CURVE_SIZE[1]
    for known, stretch in groupby(zip(slices, values, strict=True), key=lambda place: place[1] is not None):
        if known:
            points = [
                f"{40 + i * step:.1f},{height - 20 - (height - 35) * v / top:.1f}" for i, v in stretch if v is not None
            ]
            yield " ".join(points if len(points) > 1 else points * 2)


def _middle(where: np.ndarray) -> np.ndarray:
    """Find the voxel of an organ nearest to its centre; the centre of a bent organ may lie outside."""
    nearest: np.ndarray = where[((where - where.mean(0)) ** 2).sum(1).argmin()]
    return nearest


def _spacing(segmentation: Segmentation) -> tuple[float, float]:
    affine = segmentation.prepared.geometry.grid_affine
    return float(np.linalg.norm(affine[:3, 0])), float(np.linalg.norm(affine[:3, 2]))


def _panel(name: str, plane: np.ndarray, proportion: float, lettered: bool) -> Image.Image:
    """Draw a plane `(across, up, 3)` so many times as high as wide, with the letters of the directions."""
    image_grid = as_radiologists_see(plane)
    height = max(1, round(WIDTH * proportion))
    picture = Image.fromarray(image_grid).resize((WIDTH, height), Image.Resampling.BILINEAR)
    if lettered:
        draw = ImageDraw.Draw(picture)
        places = ((4, height // 2 - 6), (WIDTH - 11, height // 2 - 6), (WIDTH // 2, 2), (WIDTH // 2, height - 13))
        for letter, place in zip(LETTERS[name], places, strict=True):
            draw.text(place, letter, fill=(255, 255, 120))
    return picture
