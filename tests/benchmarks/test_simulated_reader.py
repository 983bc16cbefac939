"""The simulated reader draws where a reader would: short, in the middle of the largest error of the worst slice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated_reader import Paint, ReaderState, Walker, middle_line, read, slice_axis, worst_stroke
from monai_semgan.io.volume import Volume
from tests.phantoms import grid, labels_at, points_of

LIVER = 1


@pytest.fixture(params=["LPS", "PSR"])
def reference(request: pytest.FixtureRequest) -> Volume:
    affine, shape = grid((4.0, 4.0, 8.0), codes=request.param)
    return Volume(labels_at(points_of(affine, shape)).astype(np.uint8), affine)


def slices_of(volume: Volume) -> np.ndarray:
    """The label with its axial slices first; a view."""
    return np.moveaxis(volume.array, slice_axis(volume.affine), 0)


def without_one_slice(volume: Volume) -> tuple[np.ndarray, int]:
    """The label without the liver in the slice that shows most of it."""
    label = volume.array.copy()
    axial = np.moveaxis(label, slice_axis(volume.affine), 0)
    worst = int((axial == LIVER).sum(axis=(1, 2)).argmax())
    axial[worst][axial[worst] == LIVER] = 0
    return label, worst


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


def test_painting_brings_ten_voxels_a_stroke(reference: Volume) -> None:
    label, _ = without_one_slice(reference)
    found = read(Paint(), reference, label, reference.array, LIVER, 3, clock=lambda: 0.0)
    assert list(found.dice) == sorted(set(found.dice)) and len(found.dice) == 4
    replayed = read(Paint(), reference, label, reference.array, LIVER, 3, clock=lambda: 0.0, given=found.strokes)
    assert replayed.dice == found.dice


def test_a_reader_stops_where_nothing_is_wrong(reference: Volume) -> None:
    assert read(Paint(), reference, reference.array, reference.array, LIVER, 3, clock=lambda: 0.0).dice == (1.0,)


def test_a_walker_fills_what_the_image_shows_and_leaves_other_slices(reference: Volume) -> None:
    label, worst = without_one_slice(reference)
    image = Volume((reference.array == LIVER) * 100.0, reference.affine)
    stroke = worst_stroke(label, reference.array, LIVER, reference.affine)
    assert stroke is not None
    before = label.copy()
    found = Walker(radius_mm=60.0).apply(ReaderState(image, label), stroke)
    axial = Volume(found, reference.affine)
    painted = slices_of(axial)[worst] == LIVER
    true = slices_of(reference)[worst] == LIVER
    assert painted.sum() > 5 * len(stroke.voxels) and not (painted & ~true).any()
    assert np.array_equal(np.delete(slices_of(axial), worst, 0), np.delete(slices_of(reference), worst, 0))
    assert np.array_equal(label, before)
