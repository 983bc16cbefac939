"""Volumes leave, and results enter, a real scene of 3D Slicer with every voxel in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SemGANLib.Scene import Geometry, MapImport, SegmentationExport, SegmentationImport, VolumeExport
from SemGANLib.Scene.Terminology import terminology_entry
from SemGANLib.Server.Nrrd import Grid, decode
from SemGANLib.Server.Parsing import parse
from SemGANLib.Types import Code, Label

from tests.phantoms import labels_at, points_of, rotation
from tests.slicer_extension.fake_server import LABELS
from tests.slicer_extension.scans import GRIDS, add_scan, add_volume, affine_of

ORGANS = tuple(parse(Label, entry) for entry in LABELS)


def label_of(volume: Any) -> np.ndarray:
    """The phantom's label map on the grid of a volume, without the left kidney."""
    shape = VolumeExport.shape_of(volume)
    label = labels_at(points_of(Geometry.ijk_to_ras(volume), shape)).transpose()
    return np.ascontiguousarray(np.where(label == 3, 0, label)).astype(np.uint8)


def imported(volume: Any, array: np.ndarray | None = None) -> tuple[Any, SegmentationImport.Mark]:
    """A segmentation node of the phantom."""
    node = SegmentationImport.new_segmentation(volume, "organs")
    return node, SegmentationImport.fill(node, volume, label_of(volume) if array is None else array, ORGANS)


def world_of(volume: Any) -> np.ndarray:
    """(4, 4) after Slicer itself has hardened the transforms of a copy."""
    import slicer

    scene = volume.GetScene()
    copy = scene.CopyNode(volume)
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    assert copy.HardenTransform()
    affine = Geometry.ijk_to_ras(copy)
    scene.RemoveNode(copy)
    assert slicer.mrmlScene is scene
    return affine


def add_transform(scene: Any, matrix: np.ndarray) -> Any:
    """A linear transform node."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(Geometry.as_matrix(matrix))
    return node


# volumes


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_sent_is_the_volume(scene, kind, compressed):
    volume = add_scan(scene, kind)
    assert VolumeExport.problem(volume) == ""
    grid = decode(VolumeExport.file_of(VolumeExport.snapshot(volume), compressed))
    np.testing.assert_array_equal(grid.array, VolumeExport.voxels(volume))
    np.testing.assert_allclose(grid.affine, affine_of(kind), atol=1e-9)


def test_slicers_own_reader_agrees_about_what_is_sent(scene, tmp_path):
    volume = add_scan(scene, "oblique")
    path = tmp_path / "sent.nrrd"
    path.write_bytes(VolumeExport.file_of(VolumeExport.snapshot(volume), True))
    loaded = load(scene, path)
    np.testing.assert_array_equal(VolumeExport.voxels(loaded), VolumeExport.voxels(volume))
    np.testing.assert_allclose(Geometry.ijk_to_ras(loaded), Geometry.ijk_to_ras(volume), atol=1e-5)


def load(scene: Any, path: Path) -> Any:
    """A volume node, read by Slicer."""
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "loaded")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def test_a_snapshot_is_not_changed_by_later_edits(scene):
    volume = add_scan(scene)
    grid = VolumeExport.snapshot(volume)
    before = grid.array.copy()
    VolumeExport.voxels(volume)[:] = 7
    np.testing.assert_array_equal(grid.array, before)


def test_transforms_are_hardened_in_what_is_sent_and_the_node_is_left_alone(scene):
    volume = add_scan(scene, "oblique")
    outer, inner = np.eye(4), np.eye(4)
    outer[:3, :3], outer[:3, 3] = rotation((10.0, 20.0, -30.0)), (5.0, -6.0, 7.0)
    inner[:3, :3], inner[:3, 3] = np.eye(3) * 1.25, (0.0, 50.0, 0.0)
    parent, child = add_transform(scene, outer), add_transform(scene, inner)
    child.SetAndObserveTransformNodeID(parent.GetID())
    volume.SetAndObserveTransformNodeID(child.GetID())
    before = Geometry.ijk_to_ras(volume)

    grid = VolumeExport.snapshot(volume)

    np.testing.assert_allclose(grid.affine, world_of(volume), atol=1e-9)
    assert not np.allclose(grid.affine, before)
    np.testing.assert_array_equal(Geometry.ijk_to_ras(volume), before)
    assert volume.GetTransformNodeID() == child.GetID()


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("int16", "int16"), ("uint8", "uint8"), ("float32", "float32"), ("float64", "float32"), ("int64", "int32")],
)
def test_types_that_nrrd_or_the_server_lack_are_converted(scene, kind, sent):
    array = np.arange(60).reshape(3, 4, 5).astype(kind)
    volume = add_volume(scene, array, np.eye(4))
    assert VolumeExport.problem(volume) == ""
    grid = decode(VolumeExport.file_of(VolumeExport.snapshot(volume), True))
    assert grid.array.dtype == sent
    np.testing.assert_array_equal(grid.array, array)


class TestRefusals:
    """What cannot be segmented is said with what to do."""

    def test_nothing_chosen(self):
        assert "Choose a volume" in VolumeExport.problem(None)

    def test_two_slices(self, scene):
        volume = add_volume(scene, np.zeros((2, 9, 9), np.int16), np.eye(4), "localiser")
        assert "“localiser” has 2 slices" in VolumeExport.problem(volume)
        assert "whole series" in VolumeExport.problem(volume)

    def test_colour(self, scene):
        import vtk

        volume = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
        image = vtk.vtkImageData()
        image.SetDimensions(5, 5, 5)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
        volume.SetAndObserveImageData(image)
        assert "3 values in every voxel" in VolumeExport.problem(volume)

    def test_no_voxels(self, scene):
        assert "no voxels" in VolumeExport.problem(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))

    def test_label_maps_and_other_nodes(self, scene):
        assert "not a scan" in VolumeExport.problem(scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "label"))
        assert "not a scan" in VolumeExport.problem(scene.AddNewNodeByClass("vtkMRMLModelNode", "model"))

    def test_sequences(self, scene):
        volume = add_scan(scene)
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beating heart")
        sequence.SetDataNodeAtValue(volume, "0")
        assert "Clone" in VolumeExport.problem(sequence)
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        proxy = browser.AddProxyNode(volume, sequence, False)
        assert "belongs to a sequence" in VolumeExport.problem(proxy)

    def test_bent_by_a_transform(self, scene):
        volume = add_scan(scene)
        transform = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bent")
        volume.SetAndObserveTransformNodeID(transform.GetID())
        assert "Harden" in VolumeExport.problem(volume)

    def test_gantry_tilt(self, scene):
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        affine[1, 2] = 1.0
        assert "right angles" in VolumeExport.problem(add_volume(scene, np.zeros((4, 5, 6), np.int16), affine))

    def test_sheared_by_a_transform(self, scene):
        volume = add_scan(scene)
        shear = np.eye(4)
        shear[0, 1] = 0.5
        volume.SetAndObserveTransformNodeID(add_transform(scene, shear).GetID())
        assert "right angles" in VolumeExport.problem(volume)


# segmentations


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


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


# edits


def paint(node: Any, volume: Any, name: str, array: np.ndarray) -> None:
    """Change a segment as the Segment Editor does."""
    import slicer
    from SemGANLib.Scene.SegmentationImport import oriented_image

    image = oriented_image(array.astype(np.uint8), Geometry.ijk_to_ras(volume))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, name, logic.MODE_REPLACE, image.GetExtent())


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


# maps


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("part", ["reconstruction", "residual", "uncertainty"])
def test_maps_lie_on_the_scan_with_all_their_values(scene, kind, part):
    volume = add_scan(scene, kind)
    array = np.random.default_rng(0).random((16, 28, 40)).astype(np.float32)
    node = MapImport.put(part, MapImport.prepare(part, array.copy()), volume)
    np.testing.assert_array_equal(VolumeExport.voxels(node), array)
    np.testing.assert_array_equal(Geometry.ijk_to_ras(node), Geometry.ijk_to_ras(volume))
    assert node.GetName() == f"CT {part}"
    assert node.GetDisplayNode().GetColorNode() is not None


def test_the_window_of_a_map_shows_what_matters(scene):
    volume = add_scan(scene)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
    array = np.zeros((16, 28, 40), np.float32)
    array[4:8] = 10.0
    array[0, 0, 0] = 3000.0  # a single bad voxel
    shown = {
        part: MapImport.put(part, MapImport.prepare(part, array), volume).GetDisplayNode() for part in MapImport.COLOURS
    }
    assert shown["reconstruction"].GetWindowLevelMin() == -160 and shown["reconstruction"].GetWindowLevelMax() == 240
    assert shown["residual"].GetWindowLevelMax() == pytest.approx(10.0)
    assert shown["residual"].GetLowerThreshold() == pytest.approx(0.5)
    assert shown["uncertainty"].GetWindowLevelMax() == 1.0
    assert all(display.GetAutoWindowLevel() == 0 for display in shown.values())


def test_a_newer_map_replaces_the_voxels_and_keeps_the_users_display(scene):
    volume = add_scan(scene)
    first = MapImport.put("residual", MapImport.prepare("residual", np.ones((16, 28, 40), "f4")), volume)
    first.GetDisplayNode().SetWindowLevelMinMax(3, 4)
    second = MapImport.put("residual", MapImport.prepare("residual", np.full((16, 28, 40), 2, "f4")), volume, first)
    assert second is first and first.GetDisplayNode().GetWindowLevelMax() == 4
    assert VolumeExport.voxels(first).min() == 2


def test_a_map_that_is_read_only_is_copied(scene):
    array = np.frombuffer(np.ones(60, "f4").tobytes(), "f4").reshape(3, 4, 5)
    data = MapImport.prepare("residual", array)
    assert data.array.flags.writeable


# geometry


def test_grids_are_told_apart():
    affine = affine_of("oblique")
    moved = affine.copy()
    moved[0, 3] += 0.01
    assert Geometry.same_grid(affine, (4, 5, 6), affine + 1e-6, (4, 5, 6))
    assert not Geometry.same_grid(affine, (4, 5, 6), moved, (4, 5, 6))
    assert not Geometry.same_grid(affine, (4, 5, 6), affine, (4, 6, 5))


def test_slices_are_counted_along_the_models_axis_whatever_the_storage():
    assert Geometry.slice_positions(np.diag([2.0, 2.0, 3.0, 1.0]), (9, 9, 5), (0, 0, 1)) == (0.0, 12.0)
    sagittal = affine_of("sagittal")
    low, high = Geometry.slice_positions(sagittal, (40, 28, 16), (0, 0, 1))
    assert high - low == pytest.approx(27 * 8 * np.cos(np.radians(4)), abs=0.1)


def test_an_encoded_grid_remembers_nothing_but_voxels_and_place(scene):
    volume = add_scan(scene, name="DOE^JOHN 1234567")
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3.4")
    volume.SetDescription("born 1.1.1950")
    data = VolumeExport.file_of(VolumeExport.snapshot(volume), False)
    header = data[: data.index(b"\n\n")]
    assert [line.split(b":")[0] for line in header.splitlines()[1:]] == [
        b"type",
        b"dimension",
        b"space",
        b"sizes",
        b"space directions",
        b"kinds",
        b"endian",
        b"encoding",
        b"space origin",
    ]
    assert b"DOE" not in data and isinstance(decode(data), Grid)
