"""From the click to the result in the scene, with the real client, a server on loopback and a real scene."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Scene.SegmentationImport import segment_ids

from tests.slicer_extension.nodes import (
    add_transform,
    expected,
    merged,
    paint,
)
from tests.slicer_extension.scans import GRIDS, add_scan


@pytest.mark.parametrize("kind", GRIDS)
def test_a_preview_is_the_servers_label_voxel_for_voxel(session, scene, kind):
    volume = add_scan(scene, kind)
    run = session.preview(volume)
    assert run.phase == "done" and run.fraction == 1.0
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    outcome = session.logic.outcome(volume)
    assert outcome.result.model.version == "1.2"
    node = scene.GetNodeByID(outcome.segmentation_id)
    assert node.GetName().startswith("CT: preview") and segment_ids(node) == ("liver", "right kidney", "spleen")
    assert set(outcome.maps) == {"uncertainty"}


def test_a_refinement_shows_partial_results_and_progress_as_they_come(session, scene, server):
    volume = add_scan(scene)
    server.versions = 3
    run = session.refine(volume)
    versions = [outcome.result.version for outcome in session.outcomes]
    assert versions == [1, 2, 3, 4, 4], "the last one comes again with its maps"
    assert [outcome.result.partial for outcome in session.outcomes] == [True, True, True, False, False]
    assert not session.outcomes[-2].maps, "nobody waits for maps to see the label"
    assert len({outcome.segmentation_id for outcome in session.outcomes}) == 1, "one node for all of them"
    texts = [entry.text for entry in session.seen]
    assert "Step 1 of 4, 1 of 16 slices done, about 2 s left" in texts
    assert [entry.phase for entry in session.seen][:3] == ["exporting", "uploading", "queued"]
    assert set(session.logic.outcome(volume).maps) == {"reconstruction", "residual", "uncertainty"}
    assert run.job.loss == (1.0, 0.5, 1 / 3)
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_cancel_keeps_what_is_there(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    session.logic.cancel(volume)
    run = session.finish(volume)
    assert run.phase == "cancelled"
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]


def test_a_second_cancel_does_not_wait_for_the_server(session, scene, server):
    volume = add_scan(scene)
    server.hold = server.stubborn = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    session.logic.cancel(volume)
    session.settle()
    assert session.logic.run(volume).active
    session.logic.cancel(volume)
    assert not session.logic.run(volume).active and "may go on there" in session.logic.run(volume).text
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_cancel_before_the_server_knows_of_it(session, scene, server):
    volume = add_scan(scene)
    server.deaf = 0.3
    session.logic.refine(volume)
    session.logic.cancel(volume)
    assert session.logic.run(volume).phase == "cancelled"
    server.deaf = 0.0
    assert session.preview(volume).phase == "done"


def test_a_job_that_begins_while_it_is_cancelled_is_cancelled_too(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.logic.run(volume).phase == "queued")
    session.logic.cancel(volume)
    session.settle()
    assert session.logic.run(volume).phase == "cancelled"
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]


def test_a_volume_is_sent_once_for_preview_and_refinement(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    session.refine(volume)
    assert len(server.asked("POST", "/semgan/uploads")) == 1
    VolumeExport.voxels(volume)[:] += 1
    volume.GetImageData().GetPointData().GetScalars().Modified()
    session.preview(volume)
    assert len(server.asked("POST", "/semgan/uploads")) == 2, "it has changed"
    session.settle()
    assert len(server.uploads) == 1, "the former one is removed"


def test_an_upload_that_the_server_has_lost_is_sent_again(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    server.uploads.clear()
    assert session.preview(volume).phase == "done"


def test_what_is_asked_for_is_what_was_chosen(session, scene, server):
    volume = add_scan(scene)
    choices = session.logic.choices
    choices.volume, choices.labels, choices.steps, choices.model = volume, ("liver",), 3, "semgan_abdomen"
    choices.slice_range_mm = (0.0, 60.0)
    choices.maps = False
    session.refine(volume)
    request = next(iter(server.jobs.values()))["request"]
    assert request.pop("upload") in server.uploads
    assert request.pop("client").startswith("3D Slicer ")
    assert request == {
        "model": "semgan_abdomen",
        "mode": "refine",
        "steps": 3,
        "labels": ["liver"],
        "slice_range_mm": [0.0, 60.0],
    }
    assert segment_ids(scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)) == ("liver",)
    assert not session.logic.outcome(volume).maps


def test_several_volumes_run_side_by_side(session, scene, server):
    server.hold = True
    first, second = add_scan(scene, "axial", "one"), add_scan(scene, "oblique", "two")
    session.logic.refine(first)
    session.logic.refine(second)
    session.wait(lambda: len({outcome.volume_id for outcome in session.outcomes}) == 2)
    assert len(session.logic.runs()) == 2 and all(run.active for run in session.logic.runs())
    session.logic.cancel(first)
    session.finish(first)
    assert session.logic.run(second).active
    server.hold = False
    session.finish(second)
    for volume in (first, second):
        np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_a_volume_under_transforms_is_sent_hardened_and_left_alone(session, scene, server):
    volume = add_scan(scene)
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, 20.0, 30.0)
    transform = add_transform(scene, matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    before = Geometry.ijk_to_ras(volume)
    assert session.preview(volume).phase == "done"
    sent = next(iter(server.uploads.values()))
    np.testing.assert_allclose(sent.affine, matrix @ before)
    np.testing.assert_array_equal(Geometry.ijk_to_ras(volume), before)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID() == transform.GetID()
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_every_run_gets_a_new_node_and_hides_the_former(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    first = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    before = merged(session, volume)
    session.refine(volume)
    second = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    assert first is not second and second.GetName().startswith("CT: refined")
    np.testing.assert_array_equal(merged(session, volume, first), before)
    assert not first.GetDisplayNode().GetVisibility() and second.GetDisplayNode().GetVisibility()


def test_a_chosen_segmentation_is_replaced_only_after_asking(session, scene, server):
    volume = add_scan(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    session.logic.choices.volume, session.logic.choices.segmentation = volume, node
    session.answer, count = False, len(server.requests)
    session.logic.preview(volume)
    assert "“mine” will be replaced" in session.asked[-1]
    assert segment_ids(node) == ("tumour",) and not server.requests[count:]
    session.answer = True
    session.preview(volume)
    assert segment_ids(node) == ("liver", "right kidney", "spleen")
    assert session.logic.outcome(volume).segmentation_id == node.GetID()


def test_a_partial_result_that_was_edited_is_left_alone(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: len(session.outcomes) == 1)
    node = scene.GetNodeByID(session.outcomes[0].segmentation_id)
    paint(node, volume, "spleen", np.zeros((16, 28, 40)))
    session.wait(lambda: len(session.outcomes) == 2)
    assert session.outcomes[1].segmentation_id != node.GetID()
    assert not (merged(session, volume, node) == 4).any()
    assert (merged(session, volume) == 4).any()


def test_a_segmentation_deleted_during_the_run_comes_back_as_a_new_one(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: len(session.outcomes) == 1)
    scene.RemoveNode(scene.GetNodeByID(session.outcomes[0].segmentation_id))
    session.wait(lambda: len(session.outcomes) == 2)
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
