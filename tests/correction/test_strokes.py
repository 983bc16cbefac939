"""Strokes: voxels, runs of them, and sparse label maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.correction.drawn_voxels import DrawnVoxels, check_strokes
from monai_semgan.correction.strokes import Stroke, strokes_of_map
from monai_semgan.errors import SemganError

SHAPE = (4, 5, 3)

voxels_of_shape = st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), min_size=1, max_size=30)


@given(voxels_of_shape)
def test_runs_give_back_the_voxels_that_they_were_made_of(voxels: list[tuple[int, int, int]]) -> None:
    stroke = Stroke(2, np.array(voxels))
    again = Stroke.from_runs(2, stroke.runs(SHAPE), SHAPE)
    assert np.array_equal(again.voxels, stroke.voxels)


def test_the_first_index_runs_fastest() -> None:
    stroke = Stroke.from_runs(1, [[1, 2], [4 * 5, 1]], SHAPE)
    assert sorted(map(tuple, stroke.voxels.tolist())) == [(0, 0, 1), (1, 0, 0), (2, 0, 0)]


def test_neighbouring_voxels_make_one_run() -> None:
    stroke = Stroke(1, np.array([[0, 1, 0], [1, 1, 0], [2, 1, 0], [0, 3, 2]]))
    assert stroke.runs(SHAPE) == [(4, 3), (4 * (3 + 5 * 2), 1)]


@pytest.mark.parametrize("runs", [[[-1, 2]], [[58, 3]], [[0, 0]], [[3]], []])
def test_runs_that_are_none_are_refused_in_one_line(runs: list[list[int]]) -> None:
    with pytest.raises(SemganError) as caught:
        Stroke.from_runs(1, runs, SHAPE)
    assert caught.value.remedy and "\n" not in str(caught.value)


def test_a_stroke_of_the_background_or_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SemganError, match="background"):
        Stroke(0, np.array([[0, 0, 0]]))
    with pytest.raises(SemganError, match="use scribble, point, lasso, box"):
        Stroke(1, np.array([[0, 0, 0]]), kind="spray")


@pytest.mark.parametrize("structure", ["liver", None, 1.5, 4.0])
def test_a_structure_that_is_no_id_is_refused(structure: object) -> None:
    with pytest.raises(SemganError, match="give its label id, a whole number"):
        Stroke(structure, np.array([[1, 2, 3]]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "voxels",
    [
        [1, 2, 3],
        [[1, 2], [1, 2, 3]],
        [["a", "b", "c"]],
        [[1.5, 2.0, 3.0]],
        [[np.nan, 2.0, 3.0]],
        [[2**40, 2, 3]],
        np.array([[True, False, True]]),
        np.ones((2, 2, 2), bool),
    ],
)
def test_voxels_that_are_no_indices_are_refused(voxels: np.ndarray) -> None:
    with pytest.raises(SemganError, match=r"give whole numbers i, j, k as \(N, 3\)"):
        Stroke(1, voxels)


@pytest.mark.parametrize("voxels", [np.empty((0, 3)), [], np.zeros((0, 2), int)])
def test_a_stroke_without_voxels_is_refused(voxels: np.ndarray) -> None:
    with pytest.raises(SemganError, match="draw at least one voxel"):
        Stroke(1, voxels)


def test_a_map_of_probabilities_is_no_map_of_strokes() -> None:
    with pytest.raises(SemganError, match="give a label map"):
        strokes_of_map(np.full((2, 2, 2), 0.5))
    assert strokes_of_map(np.ones((1, 1, 1), np.float32))[0].structure == 1


def test_a_map_becomes_a_stroke_for_every_value() -> None:
    array = np.zeros(SHAPE, np.int16)
    array[1, 2, 0], array[3, 4, 2] = 4, 2
    strokes = strokes_of_map(array)
    assert [(one.structure, one.voxels.tolist()) for one in strokes] == [(2, [[3, 4, 2]]), (4, [[1, 2, 0]])]
    assert [one.structure for one in strokes_of_map(array, {4: 7})] == [7]
    assert not strokes_of_map(array, positive=False)[0].positive


def test_the_newest_stroke_wins_where_they_contradict() -> None:
    here, there = np.array([[0, 0, 0], [1, 0, 0]]), np.array([[1, 0, 0], [2, 0, 0]])
    label = np.zeros(SHAPE, np.uint8)
    drawn = DrawnVoxels.of([Stroke(1, here), Stroke(2, there)], SHAPE)
    drawn.paint(label, ())
    assert label[:3, 0, 0].tolist() == [1, 2, 2]
    assert drawn.contradicted
    DrawnVoxels.of([Stroke(2, there), Stroke(1, here)], SHAPE).paint(label, ())
    assert label[:3, 0, 0].tolist() == [1, 1, 2]


def test_strokes_that_agree_contradict_nothing() -> None:
    voxels = np.array([[0, 0, 0]])
    assert not DrawnVoxels.of([Stroke(1, voxels), Stroke(1, voxels)], SHAPE).contradicted
    assert not DrawnVoxels.of([Stroke(1, voxels), Stroke(2, voxels, positive=False)], SHAPE).contradicted
    assert DrawnVoxels.of([Stroke(1, voxels), Stroke(1, voxels, positive=False)], SHAPE).contradicted


def test_locked_structures_neither_give_nor_take() -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[0] = 3
    row = np.array([[0, 0, 0], [1, 0, 0]])
    assert DrawnVoxels.of([Stroke(1, row)], SHAPE).paint(label, (3,)) == 1
    assert label[:2, 0, 0].tolist() == [3, 1]
    assert DrawnVoxels.of([Stroke(3, row)], SHAPE).paint(label, (3,)) == 1
    assert label[:2, 0, 0].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("strokes", "said"),
    [
        ([], "draw one"),
        ([Stroke(9, np.array([[0, 0, 0]]))], "1 liver"),
        ([Stroke(1, np.array([[0, 5, 0]]))], r"voxel \(0, 5, 0\).*4x5x3"),
    ],
)
def test_strokes_that_cannot_be_followed_are_refused(strokes: list[Stroke], said: str) -> None:
    with pytest.raises(SemganError, match=said):
        check_strokes(strokes, {1: "liver"}, SHAPE)
