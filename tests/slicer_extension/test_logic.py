"""From the click to the result in the scene, with the real client, a server on loopback and a real scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import Geometry, SegmentationExport, VolumeExport
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension.fake_server import FakeServer, segment
from tests.slicer_extension.scans import GRIDS, add_scan, add_volume
from tests.slicer_extension.session import MemorySettings, Session
from tests.slicer_extension.test_nodes import add_transform, paint


@pytest.fixture
def session(scene: Any, server: FakeServer) -> Session:
    """Connected."""
    session = Session(scene)
    session.connect(server.address)
    return session


def merged(session: Session, volume: Any, node: Any = None) -> np.ndarray:
    """Label map of the newest result, or of a node."""
    node = node or volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    return SegmentationExport.snapshot(node, volume).merged()


def expected(volume: Any) -> np.ndarray:
    """What the server finds."""
    return segment(VolumeExport.voxels(volume))


# connection


def test_it_says_to_what_it_is_connected(session, server):
    connection = session.logic.connection
    assert connection.state == "on" and connection.local
    assert server.address in connection.text
    assert "semgan_abdomen 1.2" in connection.text and "cpu" in connection.text


def test_address_and_key_are_remembered_but_not_in_the_scene(scene, server, tmp_path):
    server.key = "open sesame"
    settings = MemorySettings()
    first = Session(scene, settings)
    first.connect(server.address, "open sesame")
    assert first.logic.connection.state == "on"
    first.logic.preview(add_scan(scene))
    first.settle()
    first.close()
    assert Session(scene, settings).logic.saved_server() == (server.address, "open sesame")
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    scene.Commit()
    assert "sesame" not in path.read_text()


def test_a_key_need_not_be_remembered(scene, server):
    settings = MemorySettings()
    session = Session(scene, settings)
    session.logic.connect(server.address, "secret", remember_key=False)
    session.settle()
    assert "secret" not in str(settings.stored)


@pytest.mark.parametrize(
    ("address", "words"), [("127.0.0.1:1", "semgan serve"), ("nonsense address", "looks like this")]
)
def test_a_failed_connection_says_what_to_do_and_another_can_be_tried(scene, server, address, words):
    session = Session(scene)
    session.connect(address)
    assert session.logic.connection.state == "failed"
    assert words in session.logic.connection.text
    session.connect(server.address)
    assert session.logic.connection.state == "on"


def test_nothing_is_sent_without_a_connection(scene):
    session = Session(scene)
    session.logic.preview(add_scan(scene))
    assert "Connect to a server first" in session.messages[-1].text


def test_after_disconnecting_no_model_is_left(session):
    session.logic.disconnect()
    assert session.logic.connection.state == "off" and session.logic.chosen_model() is None


# preview and refinement


@pytest.mark.parametrize("kind", GRIDS)
def test_a_preview_is_the_servers_label_voxel_for_voxel(session, scene, kind):
    volume = add_scan(scene, kind)
    run = session.preview(volume)
    assert run.phase == "done" and run.fraction == 1.0
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    outcome = session.logic.outcome(volume)
    assert outcome.result.model.version == "1.2"
    node = scene.GetNodeByID(outcome.segmentation_id)
    assert node.GetName() == "CT preview" and segment_ids(node) == ("liver", "right kidney", "spleen")
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
    assert "Step 1 of 4, 1 of 16 slices converged, about 2 s left" in texts
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
    assert request == {
        "model": "semgan_abdomen",
        "mode": "refine",
        "steps": 3,
        "labels": ["liver"],
        "slice_range_mm": [0.0, 60.0],
        "client": "3D Slicer",
    }
    assert segment_ids(scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)) == ("liver",)
    assert not session.logic.outcome(volume).maps


def test_a_slice_range_outside_of_the_volume_is_refused(session, scene, server):
    volume = add_scan(scene)
    low, high = session.logic.slice_bounds(volume)
    session.logic.choices.slice_range_mm = (high + 10, high + 20)
    session.logic.preview(volume)
    assert f"between {low:.0f} and {high:.0f} mm" in session.messages[-1].text
    assert not server.jobs


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


def test_one_volume_is_not_segmented_twice_at_once(session, scene, server):
    volume = add_scan(scene)
    session.logic.preview(volume)
    session.logic.preview(volume)
    assert "already" in session.messages[-1].text
    session.finish(volume)
    assert len(server.jobs) == 1


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


# what is never lost


def test_every_run_gets_a_new_node_and_hides_the_former(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    first = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    before = merged(session, volume)
    session.refine(volume)
    second = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    assert first is not second and second.GetName() == "CT refined"
    np.testing.assert_array_equal(merged(session, volume, first), before)
    assert not first.GetDisplayNode().GetVisibility() and second.GetDisplayNode().GetVisibility()


def test_a_chosen_segmentation_is_replaced_only_after_asking(session, scene, server):
    volume = add_scan(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().AddEmptySegment("tumour", "tumour")
    session.logic.choices.volume, session.logic.choices.segmentation = volume, node
    session.answer = False
    session.logic.preview(volume)
    assert "“mine” will be replaced" in session.asked[-1]
    assert segment_ids(node) == ("tumour",) and not server.requests[2:]
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


# consent


@pytest.fixture
def far(scene: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The server's address does not count as this computer."""
    from SemGANLib.Server.Address import Address

    monkeypatch.setattr(Address, "local", property(lambda self: False))
    session = Session(scene)
    session.connect(server.address)
    return session


def test_nothing_leaves_this_computer_unasked(far, scene, server):
    volume = add_scan(scene, name="CT of the abdomen")
    far.answer = False
    far.logic.preview(volume)
    assert not server.asked("POST", "/semgan")
    question = far.asked[-1]
    assert server.address in question and "“CT of the abdomen”" in question
    assert "voxels and their geometry" in question and "random id" in question


def test_what_leaves_this_computer_carries_no_name(far, scene, server):
    volume = add_scan(scene, name="DOE^JOHN")
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.840.99999")
    far.logic.preview(volume)
    far.finish(volume)
    far.logic.submit(volume, "Dr. No")
    far.settle()
    far.logic.refine(volume)
    far.finish(volume)
    assert len(far.asked) == 1, "asked once for a volume and server"
    for _, path, headers, body in server.requests:
        assert b"DOE" not in body and "DOE" not in path + str(headers)
        assert b"1.2.840.99999" not in body


def test_a_local_server_needs_no_consent(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    assert not session.asked


# what goes wrong


def refused(session: Session, volume: Any) -> str:
    """What is said when a run ends badly."""
    run = session.finish(volume)
    assert run.phase in ("failed", "interrupted") and not run.active
    assert session.messages[-1].level == "error" and session.messages[-1].text == run.text
    return run.text


def test_the_server_dies_and_comes_back_while_a_job_runs(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    server.die()
    session.wait(lambda: session.logic.run(volume).phase == "lost")
    assert "does not answer" in session.logic.run(volume).text and session.logic.run(volume).active
    server.hold = False
    server.listen(server.port)
    assert session.finish(volume).phase == "done"
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_the_server_dies_for_good_and_the_user_cancels(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    server.die()
    session.wait(lambda: session.logic.run(volume).phase == "lost")
    session.logic.cancel(volume)
    run = session.finish(volume)
    assert run.phase == "cancelled" and "may go on there" in run.text
    np.testing.assert_array_equal(merged(session, volume), expected(volume))
    server.listen(server.port)


def test_a_server_that_stays_away_is_given_up(session, scene, server, monkeypatch):
    from SemGANLib.Runs import VolumeRun

    monkeypatch.setattr(VolumeRun, "PATIENCE_SECONDS", 0.0)
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    server.die()
    assert "semgan serve" in refused(session, volume)
    server.listen(server.port)


def test_single_dropped_connections_are_not_noticed_by_the_user(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    server.drop = 2
    server.hold = False
    assert session.finish(volume).phase == "done"
    assert not session.messages


def test_a_job_that_fails_says_why(session, scene, server):
    volume = add_scan(scene)
    server.fail = "the values do not look like CT or MR"
    session.logic.preview(volume)
    assert "do not look like CT" in refused(session, volume)
    server.fail = ""
    assert session.preview(volume).phase == "done"


@pytest.mark.parametrize("status", [401, 422, 500])
def test_a_refused_upload_says_why(session, scene, server, status):
    volume = add_scan(scene)
    server.status = status
    session.logic.preview(volume)
    assert refused(session, volume)
    server.status = 0
    assert session.preview(volume).phase == "done"


SHIFT, FLIP = np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0])
SHIFT[0, 3] = 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda grid: Grid(grid.array, SHIFT @ grid.affine),
        lambda grid: Grid(grid.array, grid.affine @ FLIP),
        lambda grid: Grid(grid.array[1:], grid.affine),
    ],
    ids=["shifted", "mirrored", "cut"],
)
def test_a_result_on_another_grid_is_not_loaded(session, scene, server, wrong):
    volume = add_scan(scene)
    server.grid_of = wrong
    session.logic.preview(volume)
    assert "another grid" in refused(session, volume)
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_a_damaged_result_is_not_loaded(session, scene, server, monkeypatch):
    volume = add_scan(scene)
    monkeypatch.setattr(FakeServer, "_part", lambda *_: b"NRRD0004\ntype: uchar\n\nxx")
    session.logic.preview(volume)
    assert "cannot be read" in refused(session, volume)
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_numbers_that_no_label_has_become_background(session, scene, server):
    volume = add_scan(scene)
    server.label_of = lambda array: np.where(segment(array) == 4, 9, segment(array)).astype(np.uint8)
    session.preview(volume)
    assert set(np.unique(merged(session, volume))) == {0, 1, 2}


def test_refusals_come_before_anything_is_sent(session, scene, server):
    count = len(server.requests)
    session.logic.preview(None)
    assert "Choose a volume" in session.messages[-1].text
    session.logic.preview(add_volume(scene, np.zeros((2, 9, 9), np.int16), np.eye(4)))
    assert "2 slices" in session.messages[-1].text
    assert len(server.requests) == count


def test_a_volume_larger_than_the_server_takes(scene, server):
    server.health = {"upload_limit_bytes": 1000}
    session = Session(scene)
    session.connect(server.address)
    session.logic.preview(add_scan(scene))
    assert "Crop" in session.messages[-1].text


def test_the_scene_is_closed_while_a_job_runs(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    scene.Clear(False)
    session.settle()
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]
    assert not server.uploads
    count = len(session.outcomes)
    server.hold = False
    for _ in range(20):
        session.pump()
    assert len(session.outcomes) == count and scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    again = add_scan(scene)
    session.logic.choices.volume = again
    assert session.preview(again).phase == "done"


def test_the_scene_is_closed_while_the_volume_is_sent(session, scene, server):
    server.deaf = 0.2
    session.logic.refine(add_scan(scene))
    scene.Clear(False)
    session.settle()
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    assert all(job["state"] == "cancelled" for job in server.jobs.values())


def test_the_volume_is_deleted_while_a_job_runs(session, scene, server):
    volume, other = add_scan(scene), add_scan(scene, name="other")
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    kept = scene.GetNodeByID(session.outcomes[0].segmentation_id)
    scene.RemoveNode(volume)
    session.settle()
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]
    assert kept.GetScene() is scene and segment_ids(kept)
    assert session.logic.outcome(other) is None
    server.hold = False
    assert session.preview(other).phase == "done"


def test_closing_the_module_ends_jobs_and_removes_uploads(scene, server):
    session = Session(scene)
    session.connect(server.address)
    server.hold = True
    session.logic.refine(add_scan(scene))
    session.wait(lambda: session.outcomes)
    session.close()
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]
    assert not server.uploads


# results


def test_a_scan_unlike_the_models_gets_a_plain_warning(session, scene, server):
    volume = add_scan(scene)
    server.domain = {"score": 0.9, "verdict": "out of domain", "advice": "Check the upper pole.", "expected_dice": {}}
    session.preview(volume)
    assert session.logic.outcome(volume).warning == (
        "This scan is unlike those the model has learnt from: do not rely on the result. Check the upper pole."
    )
    server.domain = {**server.domain, "verdict": "unusual"}
    session.preview(volume)
    assert "unusual" in session.logic.outcome(volume).warning
    server.domain = {**server.domain, "verdict": "in domain"}
    session.preview(volume)
    assert session.logic.outcome(volume).warning == ""


def test_the_table_shows_volumes_as_they_are_now_beside_the_models(session, scene):
    volume = add_scan(scene, "oblique")
    session.preview(volume)
    rows = {row.name: row for row in session.logic.organ_volumes(volume)}
    assert rows["liver"].measured_ml == pytest.approx(rows["liver"].server_ml)
    assert rows["liver"].measured_ml == pytest.approx((expected(volume) == 1).sum() * 8 * 8 * 12 / 1000)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    paint(node, volume, "liver", np.zeros((16, 28, 40)))
    rows = {row.name: row for row in session.logic.organ_volumes(volume)}
    assert rows["liver"].measured_ml == 0 and rows["liver"].server_ml > 0
    lines = session.logic.volumes_csv(volume).splitlines()
    assert lines[0] == "organ,volume_ml,model_volume_ml"
    assert lines[1].startswith("liver,0.00,")


def test_the_plot_knows_where_every_slice_is(session, scene):
    volume = add_scan(scene, "flipped")
    session.refine(volume)
    points = session.logic.slice_values(volume)
    assert len(points) == 16
    assert [point.position for point in points] == sorted(point.position for point in points)
    first = points[0]
    assert first.residual == 15.0, "slices are stored from the head down"
    np.testing.assert_allclose(first.centre, (Geometry.ijk_to_ras(volume) @ [0, 0, 15, 1])[:3])


def test_surfaces_only_on_request(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    session.logic.show_surfaces(volume, True)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    session.logic.show_surfaces(volume, False)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_report_is_saved(session, scene, tmp_path):
    volume = add_scan(scene)
    session.preview(volume)
    session.logic.fetch_report(volume, str(tmp_path / "report.html"))
    session.settle()
    assert "Research use only" in (tmp_path / "report.html").read_text()
    assert "report.html" in session.messages[-1].text


def test_a_report_that_cannot_be_saved_says_so(session, scene, tmp_path):
    volume = add_scan(scene)
    session.preview(volume)
    session.logic.fetch_report(volume, str(tmp_path / "missing" / "report.html"))
    session.settle()
    assert session.messages[-1].level == "error"


# datastore


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
    assert "All images" in session.messages[-1].text


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
