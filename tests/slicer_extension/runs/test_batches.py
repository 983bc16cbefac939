"""Many images are previewed by the server; the panel begins it, follows it whoever has begun it, and stops it."""

from __future__ import annotations

from typing import Any

import pytest
from SemGANLib.Views import Batch

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.session import Session


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr("SemGANLib.Runs.Batches.LOOK_SECONDS", 0.02)


@pytest.fixture
def stored(server: FakeServer) -> FakeServer:
    """A server with three images, one of them with a label."""
    server.images = {f"ct_{index}": (".nrrd", b"") for index in range(3)}
    server.labels["ct_0", "final"] = ({}, b"")
    return server


def advance(server: FakeServer, done: int, failed: int = 0, status: str = "RUNNING") -> None:
    """Let the server get on with it."""
    assert server.batch is not None
    server.batch["status"] = status
    server.batch["progress"] = {**server.batch["progress"], "done": done, "failed": failed}


def test_images_without_a_label_are_previewed_and_progress_is_shown_until_the_end(session, stored):
    heard: list[Batch] = []
    session.logic.batch_changed.connect(heard.append)
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    assert session.logic.batch.total == 2
    advance(stored, 1, 1)
    session.wait(lambda: session.logic.batch.done == 1)
    assert session.logic.batch.text == "Running: 1 of 2 images, 1 of them failed"
    advance(stored, 2, 1, "DONE")
    session.wait(lambda: not session.logic.batch.running)
    assert session.logic.batch == Batch(2, 1, 2, False, "Done: 2 of 2 images, 1 of them failed")
    assert heard[-1] == session.logic.batch and len(heard) == len(set(heard))


def test_images_that_failed_are_named_with_the_reason(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    stored.batch["failures"] = [{"image": f"ct_{index}", "reason": "the file is damaged"} for index in range(20)]
    stored.batch["progress"]["total"] = 30
    advance(stored, 30, 25, "DONE")
    session.wait(lambda: not session.logic.batch.running)
    lines = session.logic.batch.text.splitlines()
    assert lines[0] == "Done: 30 of 30 images, 25 of them failed"
    assert lines[1] == "ct_0: the file is damaged" and lines[-1] == "and 20 more" and len(lines) == 7


def test_chosen_images_alone_are_previewed(session, stored):
    session.logic.start_batch(["ct_0"])
    session.wait(lambda: session.logic.batch.total == 1)
    session.logic.start_batch([])
    assert "Choose images" in session.messages[-1].text


def test_a_batch_is_stopped_and_what_is_done_counts(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    advance(stored, 1)
    session.logic.stop_batch()
    session.wait(lambda: not session.logic.batch.running)
    assert session.logic.batch.text == "Stopped: 1 of 2 images"


def test_a_batch_that_somebody_else_has_begun_is_followed_by_whoever_connects(session, scene, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    other = Session(scene)
    other.connect(stored.address)
    assert other.logic.batch.running
    other.logic.start_batch()
    other.wait(lambda: other.messages)
    assert "running already" in other.messages[-1].text
    advance(stored, 1)
    other.wait(lambda: other.logic.batch.done == 1)
    other.logic.stop_batch()
    session.wait(lambda: not session.logic.batch.running)


def test_a_batch_of_yesterday_is_no_news(session, scene, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    advance(stored, 2, status="DONE")
    other = Session(scene)
    other.connect(stored.address)
    assert other.logic.batch == Batch()


def test_a_server_that_is_started_anew_has_no_batch_any_more(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    stored.batch = None
    session.wait(lambda: not session.logic.batch.running)
    assert session.logic.batch.text


def test_a_server_that_does_not_answer_for_a_moment_is_asked_again(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    stored.drop = 3
    session.wait(lambda: stored.drop == 0)
    advance(stored, 2, status="DONE")
    session.wait(lambda: not session.logic.batch.running)
    assert session.logic.batch.text == "Done: 2 of 2 images"


def test_a_batch_that_the_server_ends_by_an_error_says_which(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    stored.batch["details"] = ["0 of 2 images done", "no room on the disk"]  # type: ignore[index]
    advance(stored, 0, status="ERROR")
    session.wait(lambda: not session.logic.batch.running)
    assert "no room on the disk" in session.logic.batch.text


def test_after_leaving_the_server_its_batch_is_not_asked_for(session, stored):
    session.logic.start_batch()
    session.wait(lambda: session.logic.batch.running)
    session.logic.disconnect()
    assert session.logic.batch == Batch()
    session.settle()
    count = len(stored.matches("GET /batch/infer"))
    for _ in range(20):
        session.pump()
    assert len(stored.matches("GET /batch/infer")) == count


def test_who_may_not_begin_a_batch_hears_so(session: Any, stored: Any):
    stored.status_at["POST /batch/.*"] = 403
    session.logic.start_batch()
    session.wait(lambda: session.messages)
    assert "does not allow" in session.messages[-1].text and not session.logic.batch.running
