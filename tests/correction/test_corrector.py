"""Corrections: what they must change, and what they must leave alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.slice_latents import SliceLatents
from monai_semgan.correction.strokes import Stroke
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.io.volume import Volume
from monai_semgan.networks import Latent
from monai_semgan.utils.progress import StepEvent
from tests.correction.conftest import phantom_corrector
from tests.phantoms import grid, patient

LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN = 1, 2, 3, 4

QUICK = CorrectionSettings(steps=2)

directions = st.sampled_from(["LAS", "PSR", "IRA", "RAS"])
turns = st.sampled_from([(0.0, 0.0, 0.0), (0.0, 5.0, 8.0), (25.0, 0.0, 10.0)])


def line(corrector: Corrector, structure: int, seed: int = 0, length: int = 5) -> np.ndarray:
    """Voxels in a row that begin beside a structure, along an axis that the seed chooses."""
    random = np.random.default_rng(seed)
    shape = corrector.label.shape
    start = random.permutation(np.argwhere(corrector.label == structure))[0]
    axis = random.integers(3)
    steps = np.repeat(start[None], length, axis=0)
    steps[:, axis] += np.arange(length)
    return steps[(steps < shape).all(axis=1)]


@settings(max_examples=12, deadline=None)
@given(directions, turns, st.integers(0, 1000), st.booleans())
def test_a_stroke_wins_on_its_voxels_in_whatever_direction_a_scan_is_stored(
    model: Bundle, codes: str, degrees: tuple[float, float, float], seed: int, positive: bool
) -> None:
    corrector = phantom_corrector(model, codes, degrees)
    voxels = line(corrector, RIGHT_KIDNEY, seed)
    found = corrector.correct([Stroke(RIGHT_KIDNEY, voxels, positive)], QUICK).label
    assert ((found[tuple(voxels.T)] == RIGHT_KIDNEY) == positive).all()


@settings(max_examples=12, deadline=None)
@given(directions, turns, st.integers(0, 1000), st.booleans())
def test_what_was_neither_drawn_nor_under_the_stroke_stays(
    model: Bundle, codes: str, degrees: tuple[float, float, float], seed: int, positive: bool
) -> None:
    corrector = phantom_corrector(model, codes, degrees)
    before = corrector.label.copy()
    voxels = line(corrector, LIVER, seed)
    found = corrector.correct([Stroke(SPLEEN if positive else LIVER, voxels, positive)], QUICK).label
    concerned = {0, LIVER, SPLEEN if positive else LIVER, *before[tuple(voxels.T)].tolist()}
    for structure in set(np.unique(before).tolist()) - concerned:
        assert np.array_equal(found == structure, before == structure)


@settings(max_examples=8, deadline=None)
@given(directions, turns, st.integers(0, 1000))
def test_slices_beyond_the_reach_stay(
    model: Bundle, codes: str, degrees: tuple[float, float, float], seed: int
) -> None:
    corrector = phantom_corrector(model, codes, degrees)
    before = corrector.label.copy()
    voxels = line(corrector, LIVER, seed)
    reach = 13.0
    found = corrector.correct([Stroke(SPLEEN, voxels)], CorrectionSettings(reach_mm=reach, steps=2)).label
    affine, normal = corrector.volume.affine, corrector.scan.prepared.geometry.grid_affine[:3, 2]
    normal = normal / np.linalg.norm(normal)
    heights = np.argwhere(found != before) @ affine[:3, :3].T @ normal
    drawn = voxels @ affine[:3, :3].T @ normal
    slack = reach + corrector.scan.distance_mm
    assert heights.min() >= drawn.min() - slack
    assert heights.max() <= drawn.max() + slack


def test_without_reach_the_slice_alone_changes(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    voxel = np.argwhere(before == LIVER)[200]
    found = corrector.correct([Stroke(SPLEEN, voxel[None])], CorrectionSettings(reach_mm=0))
    assert set(np.argwhere(found.label != before)[:, 2].tolist()) == {int(voxel[2])}
    assert len(found.slices) == 1


def test_locked_structures_stay_and_the_reader_is_told(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    voxels = np.argwhere(before == LIVER)[:40]
    found = corrector.correct([Stroke(SPLEEN, voxels)], CorrectionSettings(locked=(LIVER,)))
    assert np.array_equal(found.label == LIVER, before == LIVER)
    assert "locked_kept" in [remark.code for remark in found.remarks]


def test_nothing_becomes_background_while_that_is_locked(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    stroke = Stroke(LIVER, np.argwhere(before == LIVER)[:40], positive=False)
    found = corrector.correct([stroke], CorrectionSettings(locked=(0,)))
    assert np.array_equal(found.label, before)
    assert [remark.code for remark in found.remarks] == ["locked_kept"]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
def test_ids_of_structures_may_be_numbers_of_numpy(model: Bundle, kind: type) -> None:
    voxels = np.argwhere(phantom_corrector(model).label == LIVER)[100:104]
    for positive in (True, False):
        plain, numpys = (
            phantom_corrector(model).correct([Stroke(structure, voxels, positive)], QUICK).label
            for structure in (LIVER, kind(LIVER))
        )
        assert np.array_equal(plain, numpys)


def test_strokes_may_come_one_by_one(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    found = corrector.correct((Stroke(SPLEEN, np.array([[10, 10, at]])) for at in (5, 6)), QUICK)  # type: ignore[arg-type]
    assert (found.label[10, 10, 5:7] == SPLEEN).all()


def test_a_reach_beyond_all_slices_is_one_to_the_last_of_them(model: Bundle) -> None:
    stroke = Stroke(SPLEEN, np.array([[10, 10, 5], [11, 10, 5]]))
    far, farther = (
        phantom_corrector(model).correct([stroke], CorrectionSettings(reach_mm=reach, steps=0)).label
        for reach in (1e3, 1e300)
    )
    assert np.array_equal(far, farther)


def test_the_newest_of_two_strokes_wins_and_the_reader_is_told(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    voxels = np.argwhere(corrector.label == LIVER)[100:104]
    found = corrector.correct([Stroke(SPLEEN, voxels), Stroke(LIVER, voxels)], QUICK)
    assert (found.label[tuple(voxels.T)] == LIVER).all()
    assert [remark.code for remark in found.remarks] == ["strokes_contradict"]


def test_an_earlier_stroke_outlives_later_ones(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    first = np.argwhere(corrector.label == LIVER)[100:103]
    corrector.correct([Stroke(SPLEEN, first)], QUICK)
    beside = first + [0, 1, 0]
    found = corrector.correct([Stroke(SPLEEN, beside, positive=False)], QUICK).label
    assert (found[tuple(first.T)] == SPLEEN).all()


def test_undo_gives_back_the_label_and_the_strokes_that_it_lacks_are_forgotten(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before, latents = corrector.label.copy(), corrector.latents
    voxels = np.argwhere(before == LIVER)[100:103]
    corrector.correct([Stroke(SPLEEN, voxels)], QUICK)
    corrector.restore(before, latents)
    assert np.array_equal(corrector.label, before)
    assert len(corrector.pins) == 0


def test_a_correction_begins_where_the_one_before_ended(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    first = corrector.correct([Stroke(SPLEEN, np.array([[10, 10, 5]]))], QUICK)
    second = corrector.correct([Stroke(SPLEEN, np.array([[25, 10, 12]]))], QUICK)
    assert first.label[10, 10, 5] == second.label[10, 10, 5] == second.label[25, 10, 12] == SPLEEN


def test_the_same_strokes_give_the_same_label(model: Bundle) -> None:
    stroke = Stroke(SPLEEN, np.array([[10, 10, 5], [11, 10, 5]]))
    one, other = (phantom_corrector(model).correct([stroke], QUICK) for _ in range(2))
    assert np.array_equal(one.label, other.label)


def test_slices_are_told_one_by_one_with_what_is_there_so_far(model: Bundle) -> None:
    corrector, steps = phantom_corrector(model), []
    voxels = np.argwhere(corrector.label == LIVER)[100:104]

    def on_step(event: StepEvent) -> None:
        partial = event.partial()
        assert event.phase == "step" and partial is not None
        assert (partial.label[tuple(voxels.T)] == SPLEEN).all()
        steps.append((event.step, event.steps))

    corrector.correct([Stroke(SPLEEN, voxels)], QUICK, on_step)
    assert [step for step, _ in steps] == sorted({step for step, _ in steps})
    assert steps[-1][0] == steps[-1][1]


def test_a_stop_gives_what_has_been_found(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    voxels = np.argwhere(corrector.label == LIVER)[[10, -10]]

    def stop(event: StepEvent) -> None:
        raise Cancelled

    found = corrector.correct([Stroke(SPLEEN, voxels)], QUICK, stop)
    assert found.cancelled
    assert (found.label[tuple(voxels.T)] == SPLEEN).all()


def test_a_student_alone_follows_strokes_as_well(student_bundle: Path) -> None:
    corrector = phantom_corrector(load_bundle(student_bundle, "cpu"))
    found = corrector.correct([Stroke(SPLEEN, np.array([[10, 10, 5]]))])
    assert found.label[10, 10, 5] == SPLEEN
    assert len(found.latents.slices) == 0


def test_latents_of_the_slice_are_kept_for_the_next_time(model: Bundle, tmp_path: Path) -> None:
    corrector = phantom_corrector(model)
    voxel = np.argwhere(corrector.label == LIVER)[100]
    found = corrector.correct([Stroke(SPLEEN, voxel[None])], QUICK)
    assert found.slices[0] in found.latents.slices
    found.latents.save(tmp_path / "latents.pt")
    again = type(found.latents).load(tmp_path / "latents.pt")
    assert np.array_equal(again.slices, found.latents.slices)
    corrector.restore(found.label, again)
    assert corrector.correct([Stroke(SPLEEN, voxel[None] + 1)], QUICK).label[tuple(voxel + 1)] == SPLEEN


def test_a_positive_box_takes_the_structure_away_around_it(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    inside = np.argwhere(before == LIVER)
    level = int(np.median(inside[:, 2]))
    low, high = inside[inside[:, 2] == level].min(0), inside[inside[:, 2] == level].max(0)
    half = (low + high) // 2
    box = np.argwhere(np.ones((half[0] - low[0], high[1] - low[1], 1), bool)) + [low[0], low[1], level]
    found = corrector.correct([Stroke(LIVER, box, kind="box")], CorrectionSettings(reach_mm=0)).label
    kept = np.argwhere(found[:, :, level] == LIVER)
    assert len(kept) and (kept >= box.min(0)[:2]).all() and (kept <= box.max(0)[:2]).all()
    assert np.array_equal(found[:, :, level + 1], before[:, :, level + 1])


def test_a_negative_box_takes_the_structure_away_inside_of_it(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    middle = np.argwhere(corrector.label == LIVER)[300]
    box = np.argwhere(np.ones((4, 4, 1), bool)) + middle
    found = corrector.correct([Stroke(LIVER, box, positive=False, kind="box")], QUICK).label
    assert not (found[tuple(box.T)] == LIVER).any()


def test_a_label_of_another_grid_is_refused_in_one_line(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    with pytest.raises(SemganError, match="on the scan's own grid"):
        corrector.restore(corrector.label[:-1], None)


@pytest.mark.parametrize(
    ("value", "problem"),
    [(300, "the value 300"), (-1, "the value -1"), (0.5, "the value 0.5"), (np.nan, "the value nan"), ("a", "type")],
)
def test_a_label_that_holds_no_ids_is_refused_and_the_one_before_stays(
    model: Bundle, value: object, problem: str
) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    with pytest.raises(SemganError, match=problem):
        corrector.restore(np.full(before.shape, value), None)
    assert np.array_equal(corrector.label, before)


def test_latents_of_another_model_are_refused(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    with pytest.raises(SemganError, match="latents of another model; start from the label alone"):
        corrector.restore(corrector.label, SliceLatents(np.array([3]), Latent(torch.zeros(1, 3, 7))))


def test_a_stroke_that_leaves_the_scan_changes_nothing(model: Bundle) -> None:
    corrector = phantom_corrector(model)
    before = corrector.label.copy()
    with pytest.raises(SemganError, match="leaves the scan"):
        corrector.correct([Stroke(LIVER, np.array([corrector.label.shape]))])
    assert np.array_equal(corrector.label, before)


def test_strokes_beside_the_models_slices_change_their_voxels_and_the_reader_is_told(model: Bundle) -> None:
    affine, shape = grid((9.0, 9.0, 12.0), field=(900.0, 240.0, 200.0))
    corrector = Corrector(model, patient(affine, shape, seed=0), np.zeros(shape, np.uint8))
    found = corrector.correct([Stroke(LIVER, np.array([[0, 5, 5]]))], QUICK)
    assert np.argwhere(found.label == LIVER).tolist() == [[0, 5, 5]]
    assert [remark.code for remark in found.remarks] == ["strokes_alone"]


def test_a_picture_in_colours_is_corrected_as_one_slice(photograph_bundle: Path) -> None:
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (3, 50, 40, 1)).astype(np.uint8)
    picture = Volume(colour.mean(0).astype(np.float32), np.eye(4), modality="XC", spacing_known=False, colour=colour)
    label = np.zeros((50, 40, 1), np.uint8)
    label[20:30, 10:20] = LIVER
    corrector = Corrector(load_bundle(photograph_bundle, "cpu"), picture, label)
    voxels = np.array([[30, 15, 0], [31, 15, 0]])
    found = corrector.correct([Stroke(LIVER, voxels)])
    assert (found.label[tuple(voxels.T)] == LIVER).all()
    assert found.slices == (0,)
