"""A reader draws short, in the middle of the largest error of the worst slice."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated_reading.worst_stroke import middle_line, slice_axis, worst_stroke
from monai_semgan.io.volume import Volume
from tests.benchmarks.simulated_reading.liver_errors import LIVER, without_one_slice


def test_a_missing_structure_gets_a_positive_stroke_in_its_slice(reference: Volume) -> None:
    label, worst = without_one_slice(reference)
    stroke = worst_stroke(label, reference.array, LIVER, reference.affine)
    assert stroke is not None and stroke.positive and stroke.structure == LIVER
    assert stroke.voxels.shape == (10, 3)
    assert set(stroke.voxels[:, slice_axis(reference.affine)]) == {worst}
    assert (reference.array[tuple(stroke.voxels.T)] == LIVER).all()


def test_a_structure_where_there_is_none_gets_a_negative_stroke(reference: Volume) -> None:
    truth, worst = without_one_slice(reference)
    stroke = worst_stroke(reference.array, truth, LIVER, reference.affine)
    assert stroke is not None and not stroke.positive
    assert set(stroke.voxels[:, slice_axis(reference.affine)]) == {worst}


def test_there_is_no_stroke_in_a_label_without_errors(reference: Volume) -> None:
    assert worst_stroke(reference.array, reference.array, LIVER, reference.affine) is None


def test_the_stroke_is_the_same_every_time(reference: Volume) -> None:
    label, _ = without_one_slice(reference)
    first, second = (worst_stroke(label, reference.array, LIVER, reference.affine) for _ in range(2))
    assert first is not None and second is not None
    assert np.array_equal(first.voxels, second.voxels)


def test_a_line_keeps_to_the_middle_and_its_pixels_are_neighbours() -> None:
    region = np.zeros((30, 40), bool)
    region[10:17, 5:35] = True
    line = middle_line(region, 10)
    assert set(line[:, 0]) == {13}
    assert (np.abs(np.diff(line, axis=0)).max(axis=1) == 1).all()


def test_a_line_in_a_small_region_has_fewer_pixels() -> None:
    region = np.zeros((9, 9), bool)
    region[4, 2:6] = True
    assert len(middle_line(region, 10)) == 4
    region[4, 2:5] = False
    assert middle_line(region, 10).tolist() == [[4, 5]]
