"""Curves are drawn whatever the values are, and their ticks are round numbers within the axes."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.training.run_page.curves import COLOURS, Curve, Panel, draw_panels, nice_ticks

ANY = st.floats(-1e12, 1e12) | st.just(math.nan) | st.just(math.inf)


def shown(*curves: Curve, limits: tuple[float, float] | None = None) -> np.ndarray:
    return draw_panels([[Panel("student: losses", "step", curves, limits)]])


def pixels(picture: np.ndarray, colour: str) -> np.ndarray:
    """Rows and columns (n, 2) of the pixels of a colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere((picture == wanted).all(-1))


def test_a_falling_loss_falls_in_the_picture() -> None:
    rows, columns = pixels(shown(Curve("loss", [0, 50, 100], [3.0, 2.0, 1.0])), COLOURS[0])[:-40].T
    assert rows[columns.argmin()] < rows[columns.argmax()], "rows count from above"


def test_every_curve_has_its_colour_and_a_score_of_one_lies_above_one_of_a_half() -> None:
    picture = shown(Curve("liver", [0, 9], [1.0, 1.0]), Curve("spleen", [0, 9], [0.5, 0.5]), limits=(0.0, 1.0))
    assert pixels(picture, COLOURS[0]).min() < pixels(picture, COLOURS[1])[:, 0].min()


def test_a_panel_without_points_says_so_and_rows_may_be_of_different_length() -> None:
    empty, full = Panel("a", "step", []), Panel("b", "step", [Curve("c", [1], [1.0])])
    picture = draw_panels([[empty], [full, full]])
    assert picture.shape[0] % 2 == 0 and picture.shape[1] % 2 == 0
    assert len(pixels(picture, COLOURS[0])) > 0
    assert draw_panels([]).ndim == 3


@given(st.lists(st.tuples(st.integers(0, 10**7), ANY), max_size=30))
def test_any_values_can_be_drawn(points: list[tuple[int, float]]) -> None:
    curve = Curve("loss", [x for x, _ in points], [y for _, y in points])
    assert shown(curve).dtype == np.uint8


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_lie_within_the_axis_and_are_evenly_spaced(low: float, length: float) -> None:
    ticks = nice_ticks(low, low + length)
    slack = 1e-6 * max(1.0, abs(low), length)
    assert 1 <= len(ticks) <= 7
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)
    assert np.allclose(np.diff(ticks, 2), 0, atol=slack)
