"""Pictures of a report: organs in three planes, and the curve by slice."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from monai_semgan.outputs.directions import axis_ends, plane_across
from monai_semgan.outputs.overlay import as_radiologists_see, blend
from monai_semgan.slicing.encoding import as_pictures
from monai_semgan.utils.html_pages import png_address

if TYPE_CHECKING:
    from monai_semgan.inference.segmentation import Segmentation

WIDTH = 300
CURVE_SIZE = (640, 120)


def organ_pictures(
    segmentation: Segmentation, label: np.ndarray, index: int, names: Mapping[int, str]
) -> dict[str, str]:
    """Return PNG data addresses by plane, through the middle of an organ; that of the slices alone for single images.

    The plane of the slices comes first. Where that is the axial one, the patient's right is on the left of axial and
    coronal pictures, as radiologists hang them.

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
    if len(image) == 1:
        return {"image": data_address(panel("", blend(image[d], label[d], names), image.shape[2] / image.shape[1]))}
    geometry, planes = prepared.geometry, {}
    (rows, columns, slices) = axis_ends(geometry)
    for across, ends, plane, ids, up_mm in (
        (2, (*rows, *columns), image[d], label[d], pixel),
        (1, (*rows, *slices), image[:, :, w].T, label[:, :, w].T, distance),
        (0, (*columns, *slices), image[:, h].T, label[:, h].T, distance),
    ):
        left, right, below, above = ends
        proportion = plane.shape[1] * up_mm / (plane.shape[0] * pixel)
        picture = panel(left + right + above + below, blend(plane, ids, names), proportion)
        planes[plane_across(geometry, across)] = data_address(picture)
    return planes


def data_address(picture: Image.Image) -> str:
    """Encode an image as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")  # the strongest compression takes 7 times as long and saves a tenth
    return png_address(stream.getvalue())


def curve_svg(
    values: Sequence[float | None],
    slices: Sequence[int],
    last: int,
    name: str,
    ends: tuple[str, str] = ("feet", "head"),
) -> str:
    """Draw a curve by slice as SVG.

    Args:
        values: one for every slice in `slices`; where None stands, the curve has a gap.
        slices: their numbers.
        last: number of the scan's last slice.
        name: a plain word.
        ends: words for where the first and the last slice lie.
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
        f'<text x="40" y="{height - 5}">{ends[0]}, slice 0</text>'
        f'<text x="{width - 10}" y="{height - 5}" text-anchor="end">{ends[1]}, slice {last}</text></svg>'
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


def panel(letters: str, plane: np.ndarray, proportion: float, width: int = WIDTH) -> Image.Image:
    """Draw a plane `(across, up, 3)` so many times as high as wide.

    Args:
        letters: left, right, above and below; none when empty.
        plane: red, green and blue, uint8.
        proportion: height by width.
        width: in pixels.
    """
    image_grid = as_radiologists_see(plane)
    height = max(1, round(width * proportion))
    picture = Image.fromarray(image_grid).resize((width, height), Image.Resampling.BILINEAR)
    if letters:
        draw = ImageDraw.Draw(picture)
        places = ((4, height // 2 - 6), (width - 11, height // 2 - 6), (width // 2, 2), (width // 2, height - 13))
        for letter, place in zip(letters, places, strict=True):
            draw.text(place, letter, fill=(255, 255, 120))
    return picture
