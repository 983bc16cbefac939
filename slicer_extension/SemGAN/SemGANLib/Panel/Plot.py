"""Small plots of the panel: drawn into a pixmap that a label shows, so that a click can be told from the place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import qt

from ..Signal import Signal

LEFT, RIGHT, TOP, BOTTOM = 44, 44, 16, 18
"""Margins in pixels, for the numbers of the axes."""


@dataclass(frozen=True)
class Line:
    """A curve with a scale of its own: the first one's is written on the left, the second one's on the right.

    Attributes:
        points: x and y, in order of x; a gap where y is None or no number.
        colour: as in `"#1f77b4"`.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str

    @property
    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in self.points if y is not None and math.isfinite(y)]


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels, and back.

    Attributes:
        low, high: values at the ends.
        start, end: pixels at the ends.
    """

    low: float
    high: float
    start: float
    end: float

    def pixel(self, value: float) -> float:
        """Convert a value to its pixel."""
        width = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / width if width else 0.5)

    def value(self, pixel: float) -> float:
        """Convert a pixel to its value; outside of the axis, that of the nearer end."""
        share = (pixel - self.start) / (self.end - self.start) if self.end != self.start else 0.5
        return self.low + (self.high - self.low) * min(1.0, max(0.0, share))


class _Watcher(qt.QObject):
    """Tells a plot of clicks and of changes of size."""

    plot = None

    def eventFilter(self, _label, event):
        """Tell the plot of clicks and changes of size; called by Qt for every event of the label."""
        if self.plot is not None and event.type() == qt.QEvent.MouseButtonPress:
            self.plot.press(event.pos().x())
        elif self.plot is not None and event.type() == qt.QEvent.Resize:
            self.plot.draw()
        return False


class Plot:
    """Curves in a label.

    Args:
        label: a `QLabel`; it is hidden while there is nothing to draw.
        scale: how numbers of the horizontal axis are written, such as `"{place} mm"`.
    """

    def __init__(self, label: qt.QLabel, scale: str = "{place}") -> None:
        self.clicked = Signal("x")
        self.lines: list[Line] = []
        self.marker: float | None = None
        self._label = label
        self._scale = scale
        self._size = (0, 0)
        self._watcher = _Watcher()
        self._watcher.plot = self
        label.installEventFilter(self._watcher)
        label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        label.setVisible(False)

    def show(self, lines: Sequence[Line], marker: float | None = None) -> None:
        """Draw curves, and a vertical line at `marker`."""
        self.lines = [line for line in lines if len(line.finite) > 1]
        self.marker = marker
        self._size = (0, 0)
        self._label.setVisible(bool(self.lines))
        self.draw()

    def press(self, pixel: int) -> None:
        """Emit where the mouse was pressed."""
        if self.lines:
            self.clicked.emit(self.horizontal().value(pixel))

    def horizontal(self) -> Axis:
        """Make the scale that all curves share."""
        places = [x for line in self.lines for x, _ in line.points]
        return Axis(min(places), max(places), LEFT, max(LEFT + 1, self._label.width - RIGHT))

    def vertical(self, line: Line) -> Axis:
        """Make the scale of one curve: from 0, or from the lowest value where all are far from it."""
        values = [y for _, y in line.finite]
        low, high = min(values), max(values)
        if low >= 0 and low < 0.5 * high:
            low = 0.0
        return Axis(low, high, self._label.height - BOTTOM, TOP)

    def draw(self) -> None:
        """Draw all anew, for the label's size."""
        width, height = self._label.width, self._label.height
        if not self.lines or (width, height) == self._size or width < LEFT + RIGHT or height < TOP + BOTTOM:
            return
        self._size = (width, height)
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(qt.QColor(0, 0, 0, 0))
        painter = qt.QPainter()
        painter.begin(pixmap)
        painter.setRenderHint(qt.QPainter.Antialiasing)
        try:
            self._draw_axis(painter, width, height)
            for index, line in enumerate(self.lines):
                self._draw_line(painter, line, index)
        finally:
            painter.end()
        self._label.setPixmap(pixmap)

    def _draw_axis(self, painter: qt.QPainter, width: int, height: int) -> None:
        axis = self.horizontal()
        painter.setPen(_pen(self._label.palette.color(qt.QPalette.WindowText), 1))
        painter.drawLine(LEFT, height - BOTTOM, width - RIGHT, height - BOTTOM)
        painter.drawText(LEFT, height - 4, self._scale.format(place=_number(axis.low)))
        end = self._scale.format(place=_number(axis.high))
        painter.drawText(width - RIGHT - 7 * len(end), height - 4, end)
        if self.marker is not None:
            place = round(axis.pixel(self.marker))
            painter.drawLine(place, TOP, place, height - BOTTOM)

    def _draw_line(self, painter: qt.QPainter, line: Line, index: int) -> None:
        horizontal, vertical = self.horizontal(), self.vertical(line)
        painter.setPen(_pen(qt.QColor(line.colour), 2))
        before = None
        for x, y in line.points:
            here = None
            if y is not None and math.isfinite(y):
                here = (round(horizontal.pixel(x)), round(vertical.pixel(y)))
                start = before or here  # a point of its own between two gaps
                painter.drawLine(start[0], start[1], here[0], here[1])
            before = here
        margin = 2 if index == 0 else self._label.width - RIGHT + 4
        painter.drawText(margin, TOP + 8, _number(vertical.high))
        painter.drawText(margin, self._label.height - BOTTOM, _number(vertical.low))
        painter.drawText(LEFT + 4 + index * (self._label.width - LEFT - RIGHT) // 2, TOP - 4, line.name)


def _pen(colour: qt.QColor, width: int) -> qt.QPen:
    pen = qt.QPen(colour)
    pen.setWidth(width)
    return pen


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
