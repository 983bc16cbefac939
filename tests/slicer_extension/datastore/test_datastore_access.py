"""Labels go into the server's datastore, images come from it."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension.nodes import (
    expected,
    paint,
)
from tests.slicer_extension.scans import add_scan


def test_a_label_is_submitted_with_who_made_it_and_how(session, scene, server):
    volume = add_scan(scene, "oblique")
    session.refine(volume)
    assert not session.logic.edited(volume)
    session.logic.submit(volume, "Dr. Ä")
    session.settle()
    ((image, tag),) = server.labels
    params, data = server.labels[image, tag]
    assert tag == "final" and image.startswith("slicer-")
    assert params["annotator"] == "Dr. Ä" and params["mode"] == "refine" and params["edited"] is False
    assert params["model_sha256"] == "ab" * 32
    assert params["label_info"][1] == {"name": "right kidney", "idx": 2, "color": [185, 102, 83]}
    label, scan = decode(data), decode(server.images[image][1])
    np.testing.assert_array_equal(label.array, expected(volume))
    np.testing.assert_allclose(label.affine, Geometry.ijk_to_ras(volume), atol=1e-9)
    np.testing.assert_array_equal(scan.array, VolumeExport.voxels(volume))
    session.logic.submit(volume, "Dr. Ä")
    session.settle()
    assert len(server.images) == 1, "the scan is sent once"


def test_a_scan_is_not_sent_again_where_only_its_label_was_lost_on_the_way(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    server.status_at["PUT /datastore/label.*"] = 500
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "error" and not server.labels
    server.status_at.clear()
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "info" and len(server.images) == 1 == len(server.labels)


def test_an_edited_label_is_submitted_as_edited(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    paint(node, volume, "spleen", np.zeros((16, 28, 40)))
    assert session.logic.edited(volume)
    session.logic.submit(volume, "me")
    session.settle()
    ((params, data),) = server.labels.values()
    assert params["edited"] is True
    assert not (decode(data).array == 4).any()


def test_submitting_needs_a_result_and_a_name(session, scene, server):
    volume = add_scan(scene)
    session.logic.submit(volume, "me")
    assert "no result" in session.messages[-1].text
    session.preview(volume)
    session.logic.submit(volume, "  ")
    assert "name" in session.messages[-1].text
    assert not server.labels


def test_images_of_the_datastore_are_listed_opened_and_not_sent_again(session, scene, server):
    source = add_scan(scene, "oblique")
    server.images["case 7"] = (".nrrd", VolumeExport.file_of(VolumeExport.snapshot(source), True))
    server.labels["case 7", "final"] = ({}, b"")
    session.logic.list_images()
    session.settle()
    assert session.logic.images.ids == ("case 7",)
    assert session.logic.images.labelled == {"case 7": ("final",)}
    session.logic.open_image("case 7")
    session.settle()
    volume = session.opened[0]
    assert volume.GetName() == "case 7"
    np.testing.assert_array_equal(VolumeExport.voxels(volume), VolumeExport.voxels(source))
    np.testing.assert_allclose(Geometry.ijk_to_ras(volume), Geometry.ijk_to_ras(source), atol=1e-9)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_images_are_opened_in_their_place(session, scene, server, tmp_path, suffix):
    import slicer

    source = add_scan(scene, "oblique")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(tmp_path / f"scan{suffix}"))
    assert storage.WriteData(source)
    server.images["a"] = (suffix, (tmp_path / f"scan{suffix}").read_bytes())
    session.logic.open_image("a")
    session.settle()
    volume = session.opened[0]
    np.testing.assert_array_equal(VolumeExport.voxels(volume), VolumeExport.voxels(source))
    np.testing.assert_allclose(Geometry.ijk_to_ras(volume), Geometry.ijk_to_ras(source), atol=1e-3)


def test_a_damaged_image_is_not_opened(session, scene, server):
    for suffix in (".nii.gz", ".nii", ".nrrd"):
        server.images["bad"] = (suffix, b"nothing")
        session.logic.open_image("bad")
        session.settle()
        assert "“bad”" in session.messages[-1].text and session.messages[-1].level == "error"
    assert scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None


def test_the_next_sample_is_opened(session, scene, server):
    grid = Grid(np.zeros((4, 5, 6), np.int16), np.eye(4))
    server.images["n"] = (".nrrd", encode(grid))
    server.next_id = "n"
    session.logic.next_sample()
    session.settle()
    assert session.opened[0].GetName() == "n"
    assert server.asked("POST", "/activelearning/semgan_residual")
    server.next_id = ""
    session.logic.next_sample("random")
    session.settle()
    assert "No image is left" in session.messages[-1].text


def test_a_label_of_a_stored_image_goes_to_that_image(session, scene, server):
    source = add_scan(scene)
    server.images["case"] = (".nrrd", VolumeExport.file_of(VolumeExport.snapshot(source), True))
    session.logic.open_image("case")
    session.settle()
    volume = session.opened[0]
    VolumeExport.voxels(volume)[0, 0, 0] += 1  # edited here: must be sent to be segmented
    volume.GetImageData().GetPointData().GetScalars().Modified()
    session.preview(volume)
    session.logic.submit(volume, "me")
    session.settle()
    assert list(server.labels) == [("case", "final")] and len(server.images) == 1


def test_a_stored_image_is_segmented_by_its_id(session, scene, server):
    source = add_scan(scene)
    server.images["case"] = (".nrrd", VolumeExport.file_of(VolumeExport.snapshot(source), True))
    session.logic.open_image("case")
    session.settle()
    session.logic.preview(session.opened[0])
    assert session.finish(session.opened[0]).phase == "done"
    assert not server.asked("POST", "/semgan/uploads")
    assert next(iter(server.jobs.values()))["request"]["image"] == "case"
