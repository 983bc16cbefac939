"""Strokes are found in what the user paints, erases and places, on every grid and under every transform."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SemGANLib.Scene import Geometry, MarkupStrokes, Strokes
from SemGANLib.Scene.SegmentationExport import snapshot
from SemGANLib.Scene.SegmentationImport import oriented_image
from SemGANLib.Scene.SegmentationUpdate import drawn, structures, update
from SemGANLib.Server.CorrectionCalls import runs_of

from tests.phantoms import rotation
from tests.slicer_extension.nodes import ORGANS, add_transform, imported, label_of, merged_of, paint
from tests.slicer_extension.scans import GRIDS, add_scan

KNOWN = {organ.name: organ.id for organ in ORGANS}
NAMES = {organ.id: organ.name for organ in ORGANS}


def found(node: Any, volume: Any, known: np.ndarray, only: int | None = None) -> dict[tuple[str, bool], np.ndarray]:
    """Find the strokes since a state: masks by structure and sign."""
    strokes = Strokes.differences(drawn(node, volume, KNOWN).layers, known, NAMES, only)
    masks = {}
    for stroke in strokes:
        mask = np.zeros(known.size, dtype=bool)
        mask[stroke.indices] = True
        masks[stroke.structure, stroke.positive] = mask.reshape(known.shape)
    return masks


@settings(deadline=None, max_examples=50)
@given(st.sets(st.integers(0, 300), min_size=1))
def test_runs_hold_the_voxels_and_no_others(indices):
    runs = runs_of(np.array(sorted(indices)))
    assert {index for first, length in runs for index in range(first, first + length)} == indices
    assert all(one[0] + one[1] < other[0] for one, other in itertools.pairwise(runs)), "neighbours are one run"


@pytest.mark.parametrize("kind", GRIDS)
def test_what_was_painted_is_positive_and_what_was_erased_negative(scene, kind):
    volume = add_scan(scene, kind)
    node, _ = imported(volume)
    label = label_of(volume)
    assert found(node, volume, label) == {}
    spleen = label == 4
    added = np.roll(label == 1, 1, axis=0) & (label == 0)
    erased = spleen & np.roll(spleen, 1, axis=1)
    assert added.any() and erased.any()
    paint(node, volume, "liver", (label == 1) | added)
    paint(node, volume, "spleen", spleen & ~erased)
    masks = found(node, volume, label)
    assert set(masks) == {("liver", True), ("spleen", False)}
    np.testing.assert_array_equal(masks["liver", True], added)
    np.testing.assert_array_equal(masks["spleen", False], erased)


def test_a_voxel_that_went_to_another_structure_is_a_stroke_of_that_one_alone(scene):
    volume = add_scan(scene)
    node, _ = imported(volume)
    label = label_of(volume)
    paint(node, volume, "spleen", np.zeros_like(label))
    paint(node, volume, "liver", (label == 1) | (label == 4))
    masks = found(node, volume, label)
    assert set(masks) == {("liver", True)}
    np.testing.assert_array_equal(masks["liver", True], label == 4)
    assert set(found(node, volume, label, only=4)) == {("spleen", False)}, "asked for alone it is told"


def test_what_is_painted_over_another_structure_counts_though_both_stay(scene):
    volume = add_scan(scene)
    node, _ = imported(volume)
    label = label_of(volume)
    paint(node, volume, "liver", (label == 1) | (label == 4))  # overlap is allowed: the spleen has its voxels too
    np.testing.assert_array_equal(found(node, volume, label)["liver", True], label == 4)


def test_segments_of_the_users_own_are_no_strokes(scene):
    volume = add_scan(scene)
    node, _ = imported(volume)
    node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    label = label_of(volume)
    paint(node, volume, "tumour", np.ones_like(label))
    assert found(node, volume, label) == {}
    assert set(structures(node, KNOWN)) == {"liver", "right kidney", "spleen"}


def test_strokes_are_found_where_scan_and_segmentation_were_moved(scene):
    volume = add_scan(scene, "oblique")
    node, _ = imported(volume)
    label = label_of(volume)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((20, 5, -40)), (50, 0, -30)
    moved = add_transform(scene, matrix)
    for one in (volume, node):
        one.SetAndObserveTransformNodeID(moved.GetID())
    assert found(node, volume, label) == {}
    paint(node, volume, "spleen", np.zeros_like(label))
    np.testing.assert_array_equal(found(node, volume, label)["spleen", False], label == 4)
    node.HardenTransform()
    volume.HardenTransform()
    np.testing.assert_array_equal(found(node, volume, label)["spleen", False], label == 4)


def test_strokes_on_a_finer_grid_are_those_of_the_scans_voxels(scene):
    volume = add_scan(scene)
    node, _ = imported(volume)
    label = label_of(volume)
    erased = (label == 4) & np.roll(label == 4, 1, axis=1)
    fine = np.kron((label == 4) & ~erased, np.ones((2, 2, 2), bool))
    affine = Geometry.ijk_to_ras(volume).copy()
    affine[:3, 3] -= affine[:3, :3] @ (0.25, 0.25, 0.25)
    affine[:3, :3] /= 2
    segment = node.GetSegmentation().GetSegment("spleen")
    segment.SetLabelValue(1)
    segment.AddRepresentation("Binary labelmap", oriented_image(fine.astype(np.uint8), affine))
    masks = found(node, volume, label)
    assert set(masks) == {("spleen", False)}
    np.testing.assert_array_equal(masks["spleen", False], erased)


@pytest.mark.parametrize("kind", GRIDS)
def test_strokes_arrive_at_the_same_places_where_the_server_has_other_axes(scene, kind):
    volume = add_scan(scene, kind)
    affine, shape = Geometry.ijk_to_world(volume), (40, 28, 16)
    other = affine[:, [2, 0, 1, 3]].copy()  # axes in another order, one of them turned round
    other[:3, 3] += other[:3, 1] * (shape[0] - 1)
    other[:3, 1] *= -1
    place = Geometry.same_points(other, (16, 40, 28), affine, shape)
    indices = np.array([0, 17, 4000, 40 * 28 * 16 - 1])
    (sent,) = Strokes.to_inputs([Strokes.Stroke("liver", 1, indices)], affine, shape, other, (16, 40, 28))
    numbers = [first + n for first, length in sent.runs for n in range(length)]
    there = np.stack([*np.unravel_index(numbers, (28, 40, 16))[::-1], np.ones(4)])
    here = np.stack([*np.unravel_index(indices, shape[::-1])[::-1], np.ones(4)])
    np.testing.assert_allclose(sorted((other @ there).T.tolist()), sorted((affine @ here).T.tolist()), atol=1e-6)
    assert place is not None


def markup(scene: Any, kind: str, places: np.ndarray) -> Any:
    """Add a markup with control points (N, 3) in the world."""
    node = scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", "prompt")
    for place in places:
        node.AddControlPointWorld(*(float(value) for value in place))
    return node


def worlds(volume: Any, voxels: list[tuple[float, float, float]]) -> np.ndarray:
    """Find the places (N, 3) of voxel indices in the world."""
    affine = Geometry.ijk_to_world(volume)
    return np.asarray(voxels, float) @ affine[:3, :3].T + affine[:3, 3]


def voxels_of(numbers: Any) -> list[tuple[int, int, int]]:
    """Find the (i, j, k) of voxel numbers of the phantom's grid."""
    axes = np.unravel_index(np.asarray(numbers), (16, 28, 40))[::-1]
    return list(map(tuple, np.stack(axes, axis=-1).tolist()))


@pytest.mark.parametrize("kind", GRIDS)
def test_points_mark_the_voxels_they_lie_in(scene, kind):
    volume = add_scan(scene, kind)
    node = markup(scene, "Fiducial", worlds(volume, [(3.2, 4.4, 5), (39, 27, 15), (90, 0, 0)]))
    assert voxels_of(MarkupStrokes.points(node, volume)) == [(3, 4, 5), (39, 27, 15)]


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("kind", GRIDS)
def test_a_lasso_marks_the_voxels_that_it_encloses_in_its_slice(scene, kind, depth):
    volume = add_scan(scene, kind)
    across = [axis for axis in range(3) if axis != depth]
    corners = np.full((4, 3), 7.2)
    corners[:, across] = [(2.5, 3.5), (9.5, 3.5), (9.5, 8.5), (2.5, 8.5)]
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "lasso")
    node.SetCurveTypeToLinear()
    for place in worlds(volume, corners.tolist()):
        node.AddControlPointWorld(*place.tolist())
    inside = np.array(voxels_of(MarkupStrokes.lasso(node, volume)))
    assert (inside[:, depth] == 7).all()
    assert sorted(map(tuple, inside[:, across].tolist())) == [(a, b) for a in range(3, 10) for b in range(4, 9)]


def test_a_lasso_in_a_tilted_view_marks_the_layer_that_its_plane_goes_through(scene):
    volume = add_scan(scene)
    corners = [(5, 5, 4), (30, 5, 4), (30, 20, 9), (5, 20, 9)]  # k rises by a third of j
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "lasso")
    node.SetCurveTypeToLinear()
    for place in worlds(volume, corners):
        node.AddControlPointWorld(*place.tolist())
    inside = np.array(voxels_of(MarkupStrokes.lasso(node, volume)))
    assert len({(i, j) for i, j, _k in inside.tolist()}) == len(inside), "one voxel deep"
    np.testing.assert_array_equal(inside[:, 2], np.round(4 + (inside[:, 1] - 5) / 3))
    assert len(inside) >= 24 * 14


@pytest.mark.parametrize("kind", GRIDS)
def test_a_roi_marks_the_voxels_whose_middle_lies_in_it(scene, kind):
    volume = add_scan(scene, kind)
    affine = Geometry.ijk_to_world(volume)
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    size = np.linalg.norm(affine[:3, :3], axis=0)
    turned = np.eye(4)
    turned[:3, :3] = affine[:3, :3] / size
    turned[:3, 3] = worlds(volume, [(10, 11, 6)])[0]
    node.SetAndObserveObjectToNodeMatrix(Geometry.as_matrix(turned))
    node.SetSize(*(size * (4.4, 2.4, 0.1)).tolist())  # flat along k: the one slice it lies in
    inside = voxels_of(MarkupStrokes.box(node, volume))
    assert sorted(inside) == [(i, j, 6) for i in range(8, 13) for j in range(10, 13)]


def test_a_line_between_two_corners_is_a_box_in_the_plane_of_its_ends(scene):
    volume = add_scan(scene)
    inside = voxels_of(MarkupStrokes.box(markup(scene, "Line", worlds(volume, [(9, 8, 5), (7, 10, 5.3)])), volume))
    assert sorted(inside) == [(i, j, 5) for i in range(7, 10) for j in range(8, 11)]


@pytest.mark.parametrize("kind", ["Fiducial", "ClosedCurve", "Line"])
def test_a_markup_beside_the_scan_is_refused_in_words(scene, kind):
    volume = add_scan(scene)
    node = markup(scene, kind, worlds(volume, [(100, 100, 100), (110, 100, 100), (110, 110, 100)]))
    mark = {"Fiducial": MarkupStrokes.points, "ClosedCurve": MarkupStrokes.lasso, "Line": MarkupStrokes.box}[kind]
    with pytest.raises(ValueError, match="scan"):
        mark(node, volume)


def test_a_point_under_a_transform_marks_where_it_is_seen(scene):
    volume = add_scan(scene)
    node = markup(scene, "Fiducial", worlds(volume, [(3, 4, 5)]))
    matrix = np.eye(4)
    matrix[:3, 3] = Geometry.ijk_to_ras(volume)[:3, 0] * 2
    node.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    assert voxels_of(MarkupStrokes.points(node, volume)) == [(5, 4, 5)]


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 999))
def test_an_update_changes_what_the_states_differ_in_and_keeps_what_was_painted_meanwhile(scene, seed):
    random = np.random.default_rng(seed)
    volume = add_scan(scene)
    before = label_of(volume)
    node, _ = imported(volume, before)
    painted = random.random(before.shape) < 0.01
    paint(node, volume, "liver", (before == 1) | painted)
    paint(node, volume, "spleen", (before == 4) & ~painted)
    paint(node, volume, "right kidney", (before == 2) & ~painted)
    after = np.where(random.random(before.shape) < 0.05, random.choice([0, 1, 2, 4], before.shape), before)
    update(node, volume, before, after.astype(np.uint8), KNOWN)
    wanted = np.where(painted & (before != 1), 1, after)
    np.testing.assert_array_equal(merged_of(node, volume), wanted)


def test_an_update_leaves_names_colours_and_own_segments_as_they_are(scene):
    volume = add_scan(scene)
    before = label_of(volume)
    node, _ = imported(volume, before)
    segmentation = node.GetSegmentation()
    segmentation.AddEmptySegment("tumour", "tumour")
    paint(node, volume, "tumour", before == 4)
    segmentation.GetSegment("liver").SetColor(0.1, 0.2, 0.3)
    assert update(node, volume, before, np.where(before == 1, 4, before), KNOWN)
    np.testing.assert_allclose(segmentation.GetSegment("liver").GetColor(), (0.1, 0.2, 0.3))
    pieces = snapshot(node, volume, KNOWN)
    own = pieces.pieces[[entry.name for entry in pieces.entries].index("tumour")]
    assert (own.array == own.label).sum() == (before == 4).sum()
    assert not update(node, volume, before, before, KNOWN), "nothing to change"
