"""Contours are filled to exactly the mask that they were drawn from, by whatever rule a reader fills them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from monai_semgan.io.dicom.contours import outlines


def inside(polygon: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels whose centre lies in a polygon, by the even-odd rule."""
    rows, columns = (axis.astype(float) for axis in np.mgrid[: shape[0], : shape[1]])
    found = np.zeros(shape, bool)
    for (row_a, column_a), (row_b, column_b) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crossed = (row_a > rows) != (row_b > rows)
        if crossed.any():
            found ^= crossed & (columns < column_a + (column_b - column_a) * (rows - row_a) / (row_b - row_a))
    return found


def painted(polygons: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Pixels in the polygons or on their lines, with points rounded to pixels."""
    cv2 = pytest.importorskip("cv2")
    plane = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(plane, [np.rint(polygon[:, ::-1]).astype(np.int32)], 1)
    return plane > 0


def check(mask: np.ndarray) -> list[np.ndarray]:
    """Fill the contours of a mask in both ways."""
    polygons = outlines(mask)
    filled = sum((inside(polygon, mask.shape).astype(int) for polygon in polygons), np.zeros(mask.shape, int))
    assert np.array_equal(filled, mask.astype(int))  # no pixel twice: sum, union and parity of contours agree
    assert np.array_equal(painted(polygons, mask.shape), mask)
    assert all(len(polygon) >= 4 for polygon in polygons)
    return polygons


@settings(max_examples=300, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_any_mask_comes_back_pixel_by_pixel(mask: np.ndarray) -> None:
    check(mask)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.95])
def test_many_holes_within_holes_come_back(share: float) -> None:
    import SimpleITK

    mask = np.random.default_rng(0).random((40, 50)) < share
    pieces = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask.astype(np.uint8)))
    assert len(check(mask)) == SimpleITK.GetArrayFromImage(pieces).max()


def test_rings_within_rings_are_one_contour_each() -> None:
    mask = np.zeros((21, 21), bool)
    for border in range(0, 11, 2):
        mask[border : 21 - border, border : 21 - border] = border % 4 == 0
    assert len(check(mask)) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1)])
def test_the_smallest_structures_have_an_area_around_their_centres(shape: tuple[int, int]) -> None:
    mask = np.zeros((5, 6), bool)
    mask[2 : 2 + shape[0], 3 : 3 + shape[1]] = True
    (polygon,) = check(mask)
    assert len(polygon) == 4
    assert np.ptp(polygon, 0) == pytest.approx(np.subtract(shape, 0.02))


def test_pixels_that_touch_at_a_corner_are_two_contours_that_do_not_touch() -> None:
    first, second = check(np.eye(2, dtype=bool))
    assert np.linalg.norm(first[:, None] - second[None], axis=-1).min() > 0.02


def test_the_area_of_contours_is_that_of_the_pixels() -> None:
    mask = np.hypot(*(np.mgrid[:60, :60] - 30)) < 25
    mask[25:35, 20:30] = False
    (polygon,) = check(mask)
    row, column = polygon.T
    area = abs(np.dot(row, np.roll(column, 1)) - np.dot(column, np.roll(row, 1))) / 2
    assert area == pytest.approx(mask.sum(), rel=0.002)


def test_an_empty_mask_has_no_contour() -> None:
    assert outlines(np.zeros((4, 3), bool)) == []
