"""However a run ends, no job and no upload of it stays at the server: it is told once, and the user too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from SemGANLib.Runs import Patience
from SemGANLib.Scene import SegmentationImport, VolumeExport
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Nrrd import Grid
from SemGANLib.Types.JobTypes import JobRequest

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import expected, merged
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session

CANCEL = "POST /semgan/jobs/.*/cancel"
SUBMIT = "POST /semgan/jobs"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a server that did not answer again after a moment."""
    monkeypatch.setattr("SemGANLib.Runs.ServerJob.RETRY_SECONDS", (0.05, 0.05, 0.05))
    monkeypatch.setattr("SemGANLib.Runs.ServerJob.SUBMIT_SECONDS", (0.05, 0.05))


@pytest.fixture
def volume(session: Session, scene: Any, server: FakeServer) -> Any:
    """A scan that is being refined, with its first result in the scene; the job does not end by itself."""
    volume = add_scan(scene)
    server.versions, server.hold = 1000, True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    return volume


def states(server: FakeServer) -> list[str]:
    """List the states of the server's jobs."""
    return [job["state"] for job in server.jobs.values()]


def errors(session: Session) -> list[str]:
    """List the error messages that the user got, without the name of the volume before each."""
    return [message.text.removeprefix("CT: ") for message in session.messages if message.level == "error"]


def wait_without_main_thread(until: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what threads do after the module was closed."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)


# ways in which a run ends in the extension while its job goes on


def panel_cannot_show_the_result(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_outcome: Any) -> None:
        raise RuntimeError("a table without rows")

    session.logic.outcome_changed.connect(broken)


def panel_cannot_show_the_progress(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Any) -> None:
        if run.active:
            raise RuntimeError("a bar without width")

    session.logic.run_changed.connect(broken)


def scene_refuses_the_segments(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(SegmentationImport, "refresh", refuse)


def download_fails(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status_at["GET .*/result/label.*"] = 500


def result_is_missing(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status_at["GET .*/result"] = 404


def result_is_damaged(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeServer, "_part", lambda *_: b"NRRD0004\ntype: uchar\n\nxx")


def result_lies_elsewhere(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.grid_of = lambda grid: Grid(grid.array, np.diag([-1.0, 1.0, 1.0, 1.0]) @ grid.affine)


def question_for_progress_fails(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status_at[r"GET /semgan/jobs/\w+"] = 500


@pytest.mark.parametrize(
    "way",
    [
        panel_cannot_show_the_result,
        panel_cannot_show_the_progress,
        scene_refuses_the_segments,
        download_fails,
        result_is_missing,
        result_is_damaged,
        result_lies_elsewhere,
        question_for_progress_fails,
    ],
    ids=lambda way: way.__name__,
)
def test_a_run_that_fails_here_ends_its_job_there(session, server, volume, monkeypatch, way):
    way(session, server, monkeypatch)
    run = session.finish(volume)
    session.settle()
    assert run.phase == "failed" and errors(session) == [run.text]
    assert states(server) == ["cancelled"]
    assert len(server.matches(CANCEL)) == 1
    assert "may go on" not in session.logic.run(volume).text


def test_a_run_whose_every_sign_of_life_breaks_the_panel_ends_its_job_too(session, server, volume):
    def broken(_run: Any) -> None:
        raise RuntimeError("the panel is gone")

    session.logic.run_changed.connect(broken)
    run = session.finish(volume)
    session.settle()
    assert run.phase == "failed" and states(server) == ["cancelled"] and errors(session) == [run.text]


def test_a_volume_that_cannot_be_copied_fails_at_once_and_can_be_tried_again(session, scene, server, monkeypatch):
    volume = add_scan(scene)

    def refuse(_volume: Any) -> None:
        raise MemoryError("no room for a copy")

    with monkeypatch.context() as patched:
        patched.setattr(VolumeExport, "snapshot", refuse)
        session.logic.preview(volume)
    assert session.logic.run(volume).phase == "failed" and "no room for a copy" in errors(session)[0]
    assert session.preview(volume).phase == "done"


def test_a_panel_that_breaks_while_the_volume_is_sent_leaves_no_run_waiting(session, scene, server):
    volume = add_scan(scene)

    def broken(run: Any) -> None:
        if run.phase == "queued":
            raise RuntimeError("no word for it")

    session.logic.run_changed.connect(broken)
    assert session.preview(volume).phase == "failed" and "no word for it" in errors(session)[0]
    session.settle()
    assert not server.jobs


def test_a_server_that_comes_back_after_it_was_given_up_is_told(session, server, volume, monkeypatch):
    monkeypatch.setattr(Patience, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("SemGANLib.Runs.ServerJob.RETRY_SECONDS", (0.2,) * 200)
    server.die()
    assert session.finish(volume).phase == "failed"
    server.listen(server.port)
    session.wait(lambda: states(server) == ["cancelled"])
    session.settle()
    assert len(server.matches(CANCEL)) == 1
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_a_job_whose_submission_was_not_answered_is_found_and_followed(session, scene, server):
    server.unanswered = [SUBMIT]
    assert session.refine(add_scan(scene)).phase == "done"
    assert states(server) == ["done"] and not session.messages


def test_a_job_whose_submission_did_not_arrive_is_submitted_once_more(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)  # sends the volume
    server.drop = 1
    assert session.refine(volume).phase == "done"
    assert states(server) == ["done", "done"] and not session.messages


def test_a_job_that_cannot_be_found_at_once_is_found_later_and_cancelled(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    (upload,) = server.uploads
    others = Client(server.address).submit(JobRequest(upload=upload, mode="refine"))
    server.hold, server.unanswered = True, [SUBMIT, "GET /semgan/jobs"]
    session.logic.refine(volume)
    run = session.finish(volume)
    session.settle()
    assert run.phase == "failed" and errors(session) == [run.text]
    assert states(server) == ["done", "queued", "cancelled"], "the one of another client goes on"
    assert len(server.matches(CANCEL)) == 1 and server.jobs[others.id]["state"] != "cancelled"


def test_a_submission_that_was_refused_is_not_looked_for(session, scene, server):
    server.status_at[SUBMIT] = 422
    server.requests.clear()
    session.logic.refine(add_scan(scene))
    session.wait(lambda: errors(session))
    session.settle()
    assert not server.matches("GET /semgan/jobs") and not server.matches(CANCEL)


# ways in which the user, the scene or the application end it


def test_the_module_is_closed_while_a_job_is_submitted(session, scene, server):
    server.hold, server.deaf = True, 0.3
    session.logic.refine(add_scan(scene))
    session.wait(lambda: server.matches(SUBMIT))
    session.close()
    wait_without_main_thread(lambda: not server.uploads and set(states(server)) <= {"cancelled"})
    time.sleep(server.deaf + 0.2)  # a submission that is still on its way finds its volume gone
    assert not server.uploads and set(states(server)) <= {"cancelled"}


def test_the_module_is_closed_while_a_slow_server_takes_a_job(session, scene, server):
    server.hold, server.deaf = True, 1.5  # longer than closing waits
    session.logic.refine(add_scan(scene))
    session.wait(lambda: server.matches(SUBMIT))
    session.close()
    wait_without_main_thread(lambda: not server.uploads and set(states(server)) <= {"cancelled"})
    time.sleep(server.deaf + 0.2)  # a submission that is still on its way finds its volume gone
    assert not server.uploads and set(states(server)) <= {"cancelled"}


@pytest.mark.parametrize("how", ["cancel", "delete", "close"])
def test_a_volume_that_is_on_its_way_when_the_run_ends_does_not_stay_there(session, scene, server, how):
    volume = add_scan(scene)
    server.deaf = 0.3
    session.logic.refine(volume)
    session.wait(lambda: server.matches("POST /semgan/uploads.*"))
    if how == "cancel":
        session.logic.cancel(volume)
    elif how == "delete":
        scene.RemoveNode(volume)
    else:
        session.close()
    wait_without_main_thread(lambda: bool(server.matches("DELETE /semgan/uploads/.*")))
    wait_without_main_thread(lambda: not server.uploads)
    assert not server.uploads and not server.jobs


def test_cancel_reaches_the_server_though_all_threads_are_busy_and_the_user_is_in_a_hurry(session, server, volume):
    for _ in range(4):
        session.runner.run(lambda: time.sleep(0.3), lambda _: None, lambda _: None)
    session.logic.cancel(volume)
    session.logic.cancel(volume)
    assert not session.logic.run(volume).active
    session.settle()
    assert states(server) == ["cancelled"] and len(server.matches(CANCEL)) == 1


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_cancelled_job_is_not_cancelled_again_when_the_scene_is_closed(session, scene, server, volume, stubborn):
    server.stubborn = stubborn
    session.logic.cancel(volume)
    session.wait(lambda: server.matches(CANCEL))
    scene.Clear(False)
    session.settle()
    assert len(server.matches(CANCEL)) == 1


def test_a_failed_run_is_not_ended_again_when_its_volume_goes(session, scene, server, volume):
    download_fails(session, server, None)
    session.finish(volume)
    scene.RemoveNode(volume)
    session.settle()
    assert len(server.matches(CANCEL)) == 1


# the server's own ends


def test_a_job_that_the_server_has_ended_is_left_alone(session, scene, server):
    volume = add_scan(scene)
    assert session.refine(volume).phase == "done"
    server.fail = "no slice looks like CT"
    assert session.refine(volume).phase == "failed"
    server.fail = ""
    server.grid_of = lambda grid: Grid(grid.array[1:], grid.affine)
    assert session.preview(volume).phase == "failed"
    session.settle()
    assert states(server) == ["done", "failed", "done"] and not server.matches(CANCEL)


# telling the server fails


def test_a_server_that_refuses_to_cancel_is_told_once_and_the_user_reads_it(session, server, volume):
    download_fails(session, server, None)
    server.status_at[CANCEL] = 500
    run = session.finish(volume)
    session.settle()
    assert errors(session) == [run.text] and "told to fail here" in run.text
    assert len(server.matches(CANCEL)) == 1
    now = session.logic.run(volume)
    assert now.phase == "failed" and not now.active
    assert now.text.startswith(run.text) and "may go on there" in now.text


def test_a_server_that_does_not_answer_is_asked_again_a_few_times(session, server, volume):
    download_fails(session, server, None)
    server.stubborn, server.unanswered = True, [CANCEL] * 4
    session.finish(volume)
    session.wait(lambda: "may go on there" in session.logic.run(volume).text)
    assert len(server.matches(CANCEL)) == 4 and len(errors(session)) == 1


def test_a_server_that_is_busy_for_a_moment_is_told_a_moment_later(session, server, volume):
    download_fails(session, server, None)
    server.status_at[CANCEL] = 503
    session.finish(volume)
    session.wait(lambda: server.matches(CANCEL))
    server.status_at.pop(CANCEL)
    session.wait(lambda: states(server) == ["cancelled"])
    session.settle()
    assert "may go on" not in session.logic.run(volume).text and len(errors(session)) == 1


def test_a_cancel_that_does_not_get_through_ends_the_run_and_is_repeated(session, server, volume):
    server.die()
    session.logic.cancel(volume)
    run = session.finish(volume)
    assert run.phase == "cancelled" and "may go on there" in run.text
    server.listen(server.port)
    session.wait(lambda: states(server) == ["cancelled"])
    assert session.logic.run(volume).text.count("may go on there") == 1 and not errors(session)


def test_nobody_hears_of_a_job_that_goes_on_after_the_scene_was_closed(session, scene, server, volume):
    server.status_at[CANCEL] = 500
    scene.Clear(False)
    count = len(session.seen)
    session.settle()
    assert len(session.seen) == count and not errors(session)
