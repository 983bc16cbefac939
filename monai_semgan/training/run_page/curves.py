"""Curves of a training as a picture: losses and scores by stage, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 460, 310
"""Pixels of a panel."""

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 76
"""Pixels around its axes."""

COLOURS = ("#1f6fb4", "#d9541e", "#3a9a4a", "#8a4fb0", "#b8860b", "#1a9c9c", "#c23b78", "#6b6b6b")
TICKS = 5
LINE = 17
"""Pixels from line to line of the legend, which has two."""


@dataclass(frozen=True)
class Curve:
    """A line.

    Args:
        name: in the legend.
        x: of its points.
        y: of its points; those that are no numbers are left out.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The points that are numbers."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes.

    Args:
        title: above.
        unit: below the horizontal axis.
        curves: the lines, at most as many as there are colours.
        limits: of the vertical axis; as the curves need when left out.
    """

    title: str
    unit: str
    curves: Sequence[Curve]
    limits: tuple[float, float] | None = None


def draw_panels(rows: Sequence[Sequence[Panel]]) -> np.ndarray:
    """Draw rows of panels as one RGB picture (H, W, 3) uint8."""
    columns = max((len(row) for row in rows), default=1)
    image = Image.new("RGB", (WIDTH * max(1, columns), HEIGHT * max(1, len(rows))), "white")
    draw = ImageDraw.Draw(image)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            _draw_panel(draw, panel, x * WIDTH, y * HEIGHT)
    return np.asarray(image)


def nice_ticks(low: float, high: float, most: int = TICKS) -> list[float]:
    """Round numbers within an interval, from one to `most` + 1 of them."""
    step = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(step))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= step)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, x0: int, y0: int) -> None:
    font = ImageFont.load_default(12)
    draw.text((x0 + LEFT, y0 + 8), panel.title, "#202020", ImageFont.load_default(14))
    points = [point for curve in panel.curves for point in curve.points]
    box = (x0 + LEFT, y0 + TOP, x0 + WIDTH - RIGHT, y0 + HEIGHT - BOTTOM)
    draw.rectangle(box, outline="#b0b0b0")
    if not points:
        draw.text((box[0] + 12, box[1] + 12), "nothing yet", "#808080", font)
        return
    across, up = _interval([x for x, _ in points], True), panel.limits or _interval([y for _, y in points], False)
    place = _Place(box, across, up)
    for value in nice_ticks(*up):
        y = place(across[0], value)[1]
        draw.line((box[0], y, box[2], y), "#e6e6e6")
        draw.text((box[0] - 6, y), f"{value:.4g}", "#404040", font, anchor="rm")
    for value in nice_ticks(*across):
        draw.text((place(value, up[0])[0], box[3] + 4), f"{value:.4g}", "#404040", font, anchor="ma")
    draw.text((box[2], box[3] + 18), panel.unit, "#404040", font, anchor="ra")
    _draw_curves(draw, panel.curves, place, (box[0], box[3] + 36), box[2])


def _draw_curves(
    draw: ImageDraw.ImageDraw, curves: Sequence[Curve], place: _Place, legend: tuple[int, int], right: int
) -> None:
    font, x, y = ImageFont.load_default(11), float(legend[0]), legend[1]
    for curve, colour in zip(curves, COLOURS, strict=False):
        places = [place(*point) for point in curve.points]
        if len(places) > 1:
            draw.line(places, colour, 2)
        for px, py in places if len(places) < 20 else ():
            draw.ellipse((px - 2, py - 2, px + 2, py + 2), colour)
        width = draw.textlength(curve.name, font)
        if x + 14 + width > right:
            x, y = float(legend[0]), y + LINE
        if y < legend[1] + 2 * LINE:
            draw.rectangle((x, y + 4, x + 9, y + 8), colour)
            draw.text((x + 13, y), curve.name, "#202020", font)
        x += 24 + width


class _Place:
    """Where values lie in the picture."""

    def __init__(self, box: tuple[int, int, int, int], across: tuple[float, float], up: tuple[float, float]) -> None:
        self.box, self.across, self.up = box, across, up

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        share_x = (x - self.across[0]) / (self.across[1] - self.across[0])
        share_y = (min(max(y, self.up[0]), self.up[1]) - self.up[0]) / (self.up[1] - self.up[0])
        return left + share_x * (right - left), bottom - share_y * (bottom - top)


def _interval(values: Sequence[float], from_zero: bool) -> tuple[float, float]:
    """What an axis shows: from zero on, or a little more than the values, without the highest hundredth of many."""
    ordered = sorted(values)
    high = ordered[-1] if len(ordered) < 50 or from_zero else ordered[int(0.99 * len(ordered))]
    low = 0.0 if from_zero else min(ordered[0], high)
    if high - low < 1e-9 * max(1.0, abs(high)):
        return (low - 0.5, high + 0.5) if not from_zero else (0.0, max(1.0, 2.0 * high))
    margin = 0.0 if from_zero else 0.05 * (high - low)
    return low - margin, high + margin
