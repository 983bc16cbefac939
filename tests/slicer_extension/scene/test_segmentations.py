"""Label maps enter a real scene of 3D Slicer and come back with every voxel in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SemGANLib.Scene import Geometry, MapImport, SegmentationExport, SegmentationImport, VolumeExport
from SemGANLib.Scene.Terminology import terminology_entry
from SemGANLib.Types.ModelTypes import Code, Label

from tests.phantoms import rotation
from tests.slicer_extension.nodes import (
    ORGANS,
    add_transform,
    imported,
    label_of,
    paint,
)
from tests.slicer_extension.scans import GRIDS, add_scan, add_volume


@pytest.mark.parametrize("kind", GRIDS)
def test_a_label_map_goes_into_the_scene_and_back_voxel_for_voxel(scene, kind):
    volume = add_scan(scene, kind)
    node, _ = imported(volume)
    snapshot = SegmentationExport.snapshot(node, volume)
    np.testing.assert_array_equal(snapshot.merged(), label_of(volume))
    assert [entry.value for entry in snapshot.entries] == [1, 2, 4]


@pytest.mark.parametrize("kind", GRIDS)
def test_slicers_own_export_sees_the_same_voxels_in_the_same_place(scene, kind):
    import slicer

    volume = add_scan(scene, kind)
    node, _ = imported(volume)
    target = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "export")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.ExportAllSegmentsToLabelmapNode(node, target, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    exported = VolumeExport.voxels(target)
    expected = label_of(volume)
    for position, organ in enumerate(ORGANS, 1):
        np.testing.assert_array_equal(exported == position, expected == organ.id)
    np.testing.assert_allclose(Geometry.ijk_to_ras(target), Geometry.ijk_to_ras(volume), atol=1e-9)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(*[st.integers(3, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 12)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    seed=st.integers(0, 99),
)
def test_any_grid_and_any_label_map_survive(scene, shape, spacing, degrees, flips, seed):
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag(np.multiply(spacing, flips))
    affine[:3, 3] = (10, -20, 30)
    volume = add_volume(scene, np.zeros(shape, np.int16), affine)
    array = np.random.default_rng(seed).choice(np.array([0, 1, 2, 4], np.uint8), shape)
    node, _ = imported(volume, array)
    pieces = SegmentationExport.snapshot(node, volume)
    np.testing.assert_array_equal(pieces.merged(), array)
    for n, organ in enumerate(ORGANS):
        resampled = SegmentationExport._pieces_resampled(node, volume)[n]
        np.testing.assert_array_equal(resampled.array == 1, array == organ.id)


def test_segments_have_names_colours_and_codes_that_slicer_understands(scene):
    import slicer
    import vtk

    node, _ = imported(add_scan(scene))
    segment = node.GetSegmentation().GetSegment("right kidney")
    assert segment.GetName() == "right kidney"
    np.testing.assert_allclose(segment.GetColor(), np.array([185, 102, 83]) / 255)
    text = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), text)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(str(text), entry)
    kind = entry.GetTypeObject()
    assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue()) == ("SCT", "64033007")
    assert kind.GetCodeMeaning() == "Kidney"
    assert entry.GetTypeModifierObject().GetCodeValue() == "24028007"
    assert entry.GetCategoryObject().GetCodeValue() == "123037004"  # as in the list of 3D Slicer


def test_separators_in_a_meaning_do_not_break_the_codes():
    organ = Label(1, "x", (0, 0, 0), Code("SCT", "1", "a~b"), Code("SCT", "2", "c^d"))
    assert terminology_entry(organ).count("~") == terminology_entry(ORGANS[0]).count("~")
    assert "c d" in terminology_entry(organ)


def test_a_structure_without_voxels_becomes_an_empty_segment(scene):
    volume = add_scan(scene)
    node, _ = imported(volume, np.zeros((16, 28, 40), np.uint8))
    assert SegmentationImport.segment_ids(node) == ("liver", "right kidney", "spleen")
    assert not SegmentationExport.snapshot(node, volume).merged().any()


def test_the_segmentation_belongs_to_its_volume(scene):
    import slicer

    volume = add_scan(scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient"), "study")
    hierarchy.CreateItem(study, volume)
    node, _ = imported(volume)
    chart = MapImport.put("uncertainty", MapImport.prepare("uncertainty", np.zeros((16, 28, 40), "f4")), volume)
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is volume
    for entry in (node, chart):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(entry)) == study


def test_no_surface_is_made_unless_asked(scene):
    node, _ = imported(add_scan(scene))
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    SegmentationImport.show_surfaces(node, True)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    surface = node.GetClosedSurfaceInternalRepresentation("liver")
    assert surface.GetNumberOfPoints() > 100
    SegmentationImport.show_surfaces(node, False)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_surface_of_the_liver_lies_on_the_patients_right(scene):
    for kind in ("flipped", "oblique"):
        node, _ = imported(add_scan(scene, kind))
        SegmentationImport.show_surfaces(node, True)
        bounds = [0.0] * 6
        node.GetClosedSurfaceInternalRepresentation("liver").GetBounds(bounds)
        liver = sum(bounds[:2]) / 2
        node.GetClosedSurfaceInternalRepresentation("spleen").GetBounds(bounds)
        assert liver > sum(bounds[:2]) / 2 + 100


def test_a_volume_under_a_transform_takes_its_segmentation_along(scene):
    volume = add_scan(scene)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((0.0, 0.0, 90.0)), (100.0, 0.0, 0.0)
    volume.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    node, _ = imported(volume)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    snapshot = SegmentationExport.snapshot(node, volume)
    np.testing.assert_array_equal(snapshot.merged(), label_of(volume))
    assert volume.GetTransformNodeID() is not None


def test_a_segmentation_that_left_the_transform_is_resampled_onto_the_scan(scene):
    volume = add_scan(scene)
    node, _ = imported(volume)
    matrix = np.eye(4)
    matrix[0, 3] = -8.0 * 3  # three voxels along I
    node.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    merged = SegmentationExport.snapshot(node, volume).merged()
    np.testing.assert_array_equal(merged[:, :, 3:], label_of(volume)[:, :, :-3])


def test_voxels_outlive_the_arrays_they_came_from(scene):
    import gc

    volume = add_scan(scene)
    expected = label_of(volume)
    node, _ = imported(volume)
    chart = MapImport.put("residual", MapImport.prepare("residual", expected.astype(np.float32)), volume)
    gc.collect()
    filler = [np.full(expected.shape, 77, np.uint8) for _ in range(200)]
    np.testing.assert_array_equal(SegmentationExport.snapshot(node, volume).merged(), expected)
    np.testing.assert_array_equal(VolumeExport.voxels(chart), expected)
    assert len(filler) == 200


def test_edits_are_noticed(scene):
    volume = add_scan(scene)
    node, mark = imported(volume)
    assert mark.untouched(node)
    paint(node, volume, "liver", label_of(volume) == 4)
    assert not mark.untouched(node)


@pytest.mark.parametrize("change", ["add", "remove"])
def test_added_and_removed_segments_are_edits(scene, change):
    node, mark = imported(add_scan(scene))
    if change == "add":
        node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    else:
        node.GetSegmentation().RemoveSegment("spleen")
    assert not mark.untouched(node)


def test_an_edited_segmentation_is_exported_as_it_looks(scene):
    volume = add_scan(scene, "oblique")
    node, _ = imported(volume)
    expected = label_of(volume)
    painted = np.zeros(expected.shape, bool)
    painted[3:6, 5:9, 7:20] = True
    paint(node, volume, "spleen", painted | (expected == 4))
    expected[painted] = 4
    node.GetSegmentation().AddEmptySegment("own", "my tumour")
    drawn = np.zeros(expected.shape, bool)
    drawn[8:10, 2:4, 2:4] = True
    paint(node, volume, "own", drawn)
    expected[drawn] = 3  # the lowest free number
    snapshot = SegmentationExport.snapshot(node, volume)
    np.testing.assert_array_equal(snapshot.merged(), expected)
    assert [(entry.value, entry.name) for entry in snapshot.entries][-1] == (3, "my tumour")


def test_a_segmentation_drawn_on_another_grid_is_resampled(scene):
    volume, other = add_scan(scene, "axial"), add_scan(scene, "sagittal")
    node, _ = imported(other)
    merged = SegmentationExport.snapshot(node, volume).merged()
    expected = label_of(volume)
    dice = 2 * ((merged == 1) & (expected == 1)).sum() / ((merged == 1).sum() + (expected == 1).sum())
    assert dice > 0.8


def test_refreshed_segments_keep_what_the_user_has_set(scene):
    volume = add_scan(scene)
    node, mark = imported(volume, np.zeros((16, 28, 40), np.uint8))
    node.GetSegmentation().GetSegment("liver").SetColor(1.0, 0.0, 0.0)
    node.GetDisplayNode().SetSegmentVisibility("spleen", False)
    SegmentationImport.refresh(node, volume, label_of(volume), mark)
    np.testing.assert_array_equal(SegmentationExport.snapshot(node, volume).merged(), label_of(volume))
    assert node.GetSegmentation().GetSegment("liver").GetColor() == (1.0, 0.0, 0.0)
    assert not node.GetDisplayNode().GetSegmentVisibility("spleen")


def test_refreshed_surfaces_are_those_of_the_new_voxels(scene):
    volume = add_scan(scene)
    small = label_of(volume)
    small[:8] = 0
    node, mark = imported(volume, small)
    SegmentationImport.show_surfaces(node, True)
    before = node.GetClosedSurfaceInternalRepresentation("liver").GetNumberOfPoints()
    SegmentationImport.refresh(node, volume, label_of(volume), mark)
    assert node.GetClosedSurfaceInternalRepresentation("liver").GetNumberOfPoints() > before


def test_too_many_segments_are_refused(scene):
    node, _ = imported(add_scan(scene))
    for n in range(256):
        node.GetSegmentation().AddEmptySegment(f"s{n}", f"s{n}")
    with pytest.raises(ValueError, match="more than 255 segments"):
        SegmentationExport.entries(node)


def separate(node: Any, volume: Any, arrays: dict[str, np.ndarray]) -> None:
    """Give every segment a labelmap of its own with the same number in it, as Slicer does with overlapping ones."""
    for name, array in arrays.items():
        image = SegmentationImport.oriented_image(array.astype(np.uint8), Geometry.ijk_to_ras(volume))
        node.GetSegmentation().GetSegment(name).AddRepresentation(SegmentationImport.BINARY, image)
        node.GetSegmentation().GetSegment(name).SetLabelValue(1)


def test_segments_with_labelmaps_of_their_own_are_not_taken_for_one_another(scene):
    volume = add_scan(scene)
    node, _ = imported(volume, np.zeros((16, 28, 40), np.uint8))
    for n in range(20):
        node.GetSegmentation().AddEmptySegment(f"s{n}", f"s{n}")
    names = SegmentationImport.segment_ids(node)
    arrays = {name: np.zeros((16, 28, 40), bool) for name in names}
    for n, name in enumerate(names):
        arrays[name][n % 16, n : n + 3, :5] = True
    separate(node, volume, arrays)
    snapshot = SegmentationExport.snapshot(node, volume)
    merged = snapshot.merged()
    for entry, name in zip(snapshot.entries, names, strict=True):
        np.testing.assert_array_equal(merged == entry.value, arrays[name], err_msg=name)


@pytest.mark.parametrize("kind", ["axial", "oblique", "LAS", "PSR", "oblique left-handed"])
def test_a_cropped_segment_along_other_axes_keeps_every_voxel(scene, kind):
    volume = add_scan(scene, kind)
    node, _ = imported(volume, np.zeros((16, 28, 40), np.uint8))
    whole = np.random.default_rng(3).random((16, 28, 40)) > 0.5
    crop = (slice(3, 11), slice(5, 20), slice(10, 33))
    turn = np.eye(4)  # from an index on the cropped, turned labelmap to one on the scan
    turn[:3] = [[0, 0, -1, 32], [1, 0, 0, 5], [0, 1, 0, 3]]
    stored = whole[crop][:, :, ::-1].transpose(2, 0, 1)  # [k', j', i'] = [i, k, j] with i turned round
    image = SegmentationImport.oriented_image(
        np.ascontiguousarray(stored).astype(np.uint8), Geometry.ijk_to_ras(volume) @ turn
    )
    node.GetSegmentation().GetSegment("liver").AddRepresentation(SegmentationImport.BINARY, image)
    merged = SegmentationExport.snapshot(node, volume).merged()
    expected = np.zeros_like(whole)
    expected[crop] = whole[crop]
    np.testing.assert_array_equal(merged == 1, expected)


def test_a_segmentation_whose_transform_was_hardened_keeps_every_voxel(scene):
    volume = add_scan(scene, "LAS")
    node, _ = imported(volume)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((10.0, -20.0, 30.0)), (11.0, -7.0, 3.0)
    transform = add_transform(scene, matrix)
    for moved in (volume, node):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    expected = label_of(volume)
    assert volume.HardenTransform()  # only the scan's
    np.testing.assert_array_equal(SegmentationExport.snapshot(node, volume).merged(), expected)
