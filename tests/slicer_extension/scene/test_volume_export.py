"""What is sent of a volume node: its voxels in their place, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Server.Nrrd import Grid, decode

from tests.phantoms import rotation
from tests.slicer_extension.nodes import (
    add_transform,
    load,
    world_of,
)
from tests.slicer_extension.scans import GRIDS, add_scan, add_volume, affine_of


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


class TestVolumesThatCannotBeSegmented:
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
