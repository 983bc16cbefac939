"""Servers that die, refuse or send what is of no use, and scenes that are closed: a run ends, and says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Nrrd import Grid

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import (
    expected,
    merged,
)
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.server_answers import segment
from tests.slicer_extension.session import Session

SHIFT, FLIP = np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0])
SHIFT[0, 3] = 0.5


def refused(session: Session, volume: Any) -> str:
    """Wait for a run that ends badly, and read what is said of it."""
    run = session.finish(volume)
    assert run.phase in ("failed", "interrupted") and not run.active
    assert session.messages[-1].level == "error" and session.messages[-1].text == f"{volume.GetName()}: {run.text}"
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
    from SemGANLib.Runs import Patience

    monkeypatch.setattr(Patience, "PATIENCE_SECONDS", 0.0)
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


def test_the_scene_is_closed_while_a_job_runs(session, scene, server):
    volume = add_scan(scene)
    server.hold = True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    scene.Clear(False)
    session.settle()
    assert [job["state"] for job in server.jobs.values()] == ["cancelled"]
    session.wait(lambda: not server.uploads)
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
