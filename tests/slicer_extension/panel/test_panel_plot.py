"""The plots of the panel: places and values, and what is really drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slicer_extension.panel.qt_actions import click_at, settle, shown


@pytest.fixture
def label(application: Any) -> Iterator[Any]:
    """A label of 300 x 120 pixels on the screen."""
    import qt

    label = qt.QLabel()
    label.resize(300, 120)
    label.show()
    yield label
    label.close()


def make(label: Any, *lines: Any) -> Any:
    """Make a plot of some lines."""
    from SemGANLib.Panel.Plot import Plot

    plot = Plot(label, " mm")
    plot.show(lines)
    settle()
    return plot


def line(points: Any, colour: str = "#ff0000") -> Any:
    """Make a curve."""
    from SemGANLib.Panel.Plot import Line

    return Line("curve", points, colour)


def columns_with(label: Any, red: int, green: int, blue: int) -> list[int]:
    """List the columns of the pixmap that have a colour."""
    image = label.pixmap.toImage()
    found = []
    for x in range(image.width()):
        for y in range(16, image.height() - 20):
            colour = image.pixelColor(x, y)
            near = abs(colour.red() - red) + abs(colour.green() - green) + abs(colour.blue() - blue) < 30
            if near and colour.alpha() > 200:
                found.append(x)
                break
    return found


@settings(deadline=None)  # the first example starts Qt
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.floats(0, 1))
def test_a_place_and_its_value_belong_together(low: float, width: float, share: float) -> None:
    from tests.slicer_extension.standin.application import install

    install()
    from SemGANLib.Panel.Plot import Axis

    axis = Axis(low, low + width, 44, 256)
    value = low + share * width
    assert axis.value(axis.pixel(value)) == pytest.approx(value, abs=1e-6 * (abs(low) + width))
    assert axis.value(-1000) == low and axis.value(1000) == pytest.approx(low + width)


def test_without_values_nothing_is_shown_and_a_click_does_nothing(label: Any) -> None:
    plot = make(label)
    heard: list[float] = []
    plot.clicked.connect(heard.append)
    assert not shown(label)
    plot.press(100)
    assert heard == []


def test_the_curve_is_drawn_from_end_to_end(label: Any) -> None:
    make(label, line([(0.0, 1.0), (50.0, 3.0), (100.0, 2.0)]))
    columns = columns_with(label, 255, 0, 0)
    assert min(columns) <= 60 and max(columns) >= 240


def test_a_gap_stays_a_gap(label: Any) -> None:
    make(label, line([(0.0, 1.0), (20.0, 1.0), (50.0, None), (80.0, float("nan")), (90.0, 1.0), (100.0, 1.0)]))
    columns = columns_with(label, 255, 0, 0)
    assert not [x for x in columns if 110 < x < 210]


def test_clicks_give_the_position(label: Any) -> None:
    plot = make(label, line([(-80.0, 1.0), (40.0, 2.0)]))
    heard: list[float] = []
    plot.clicked.connect(heard.append)
    click_at(label, 44, 50)
    click_at(label, 150, 50)
    click_at(label, 299, 50)
    assert heard == pytest.approx([-80, -20, 40], abs=1)


def test_it_is_drawn_anew_for_another_size(label: Any) -> None:
    make(label, line([(0.0, 1.0), (1.0, 2.0)]))
    assert label.pixmap.width() == 300
    label.resize(500, 120)
    settle()
    assert label.pixmap.width() == 500


def test_a_curve_without_change_is_drawn_too(label: Any) -> None:
    make(label, line([(0.0, 5.0), (1.0, 5.0)]))
    assert columns_with(label, 255, 0, 0)
