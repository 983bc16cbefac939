"""Grids are the same when they have the same points, whatever the order and direction of their axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from SemGANLib.Scene import Geometry

from tests.phantoms import rotation
from tests.slicer_extension.scans import affine_of

ORDERS = list(itertools.permutations(range(3)))
DIRECTIONS = list(itertools.product((False, True), repeat=3))
SHAPE = (4, 5, 6)


def turned(array: np.ndarray, affine: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple:
    """Store an (I, J, K) array and its affine with the axes in another order and direction."""
    for axis in range(3):
        if flips[axis]:
            array = np.flip(array, axis)
            step = np.eye(4)
            step[axis, axis], step[axis, 3] = -1, array.shape[axis] - 1
            affine = affine @ step
    swap = np.eye(4)
    swap[:3, :3] = np.eye(3)[:, list(order)]
    return array.transpose(order), affine @ swap


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 12)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    order=st.sampled_from(ORDERS),
    flips=st.sampled_from(DIRECTIONS),
)
def test_voxels_are_found_whatever_the_order_and_direction_of_the_axes(shape, spacing, degrees, order, flips):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation(degrees) @ np.diag(spacing), (100, -200, 300)
    array = np.arange(np.prod(shape)).reshape(shape)
    other, place = turned(array, affine, order, flips)
    found = Geometry.same_points(affine, shape, place, other.shape)
    assert found is not None
    np.testing.assert_array_equal(found.reordered(other.transpose()), array.transpose())


@settings(deadline=None, max_examples=60)
@given(order=st.sampled_from(ORDERS), flips=st.sampled_from(DIRECTIONS), low=st.tuples(*[st.integers(-3, 2)] * 3))
def test_a_part_of_a_grid_is_found_in_its_place(order, flips, low):
    affine = affine_of("oblique left-handed", SHAPE)
    whole = np.arange(7 * 8 * 9).reshape(7, 8, 9)  # reaches beyond the grid, which begins at (3, 3, 3)
    begin = tuple(3 + start for start in low)
    part = whole[begin[0] : begin[0] + 2, begin[1] : begin[1] + 3, begin[2] : begin[2] + 1]
    shifted = affine.copy()
    shifted[:3, 3] += affine[:3, :3] @ low
    other, place = turned(part, shifted, order, flips)
    last = tuple(size - 1 for size in other.shape)
    found = Geometry.placement(affine, place, (0, 0, 0), last)  # type: ignore[arg-type]
    assert found is not None and found.start == low
    np.testing.assert_array_equal(found.reordered(other.transpose()), part.transpose())


@pytest.mark.parametrize("kind", ["axial", "oblique", "anisotropic", "sagittal", "LAS", "PSR", "oblique left-handed"])
def test_other_points_are_not_the_same(kind):
    affine = affine_of(kind, SHAPE)
    moved, scaled, turned_a_little, sheared = (affine.copy() for _ in range(4))
    moved[:3, 3] += affine[:3, 1] / 4
    scaled[:3, 2] *= 1.02
    turned_a_little[:3, :3] = rotation((0.0, 0.0, 1.0)) @ affine[:3, :3]
    sheared[:3, 2] += 0.1 * affine[:3, 0]
    for other in (moved, scaled, turned_a_little, sheared):
        assert Geometry.same_points(affine, SHAPE, other, SHAPE) is None
    one_on = affine.copy()
    one_on[:3, 3] += affine[:3, 0]
    for other, shape in ((one_on, SHAPE), (affine, (4, 5, 7)), (affine, (4, 6, 5)), (np.zeros((4, 4)), SHAPE)):
        assert Geometry.same_points(affine, SHAPE, other, shape) is None


@pytest.mark.parametrize("kind", ["oblique", "oblique left-handed"])
def test_points_are_the_same_however_a_header_rounds_them(kind):
    affine = affine_of(kind, (512, 512, 300))
    affine[:3, :3] /= 12
    for rounded in (affine.astype(np.float32), np.round(affine, 5), affine + 1e-6):
        assert Geometry.same_points(affine, (512, 512, 300), rounded, (512, 512, 300)) is not None


def test_left_handed_slices_are_turned_round_and_no_point_moves():
    affine = affine_of("PSR", SHAPE)
    array = np.arange(120).reshape(6, 5, 4)
    other, place = Geometry.right_handed(array, affine)
    assert np.linalg.det(place[:3, :3]) > 0 > np.linalg.det(affine[:3, :3])
    found = Geometry.same_points(affine, SHAPE, place, SHAPE)
    assert found is not None
    np.testing.assert_array_equal(found.reordered(other), array)
    again, same = Geometry.right_handed(other, place)
    np.testing.assert_array_equal(again, other)
    np.testing.assert_array_equal(same, place)


def test_slices_are_counted_along_the_models_axis_whatever_the_storage():
    assert Geometry.slice_positions(np.diag([2.0, 2.0, 3.0, 1.0]), (9, 9, 5), (0, 0, 1)) == (0.0, 12.0)
    sagittal = affine_of("sagittal")
    low, high = Geometry.slice_positions(sagittal, (40, 28, 16), (0, 0, 1))
    assert high - low == pytest.approx(27 * 8 * np.cos(np.radians(4)), abs=0.1)


@pytest.mark.parametrize("kind", ["LAS", "PSR", "oblique left-handed"])
def test_slices_of_a_left_handed_grid_lie_where_they_lie_after_turning_them_round(kind):
    affine = affine_of(kind, SHAPE)
    _array, place = Geometry.right_handed(np.zeros(SHAPE[::-1]), affine)
    for axis in ((0, 0, 1), (0, 1, 0), (0.6, 0.0, 0.8)):
        expected = Geometry.slice_positions(affine, SHAPE, axis)
        assert Geometry.slice_positions(place, SHAPE, axis) == pytest.approx(expected)
