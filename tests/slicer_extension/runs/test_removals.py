"""Uploads go from the server when nobody needs them here, also where a job there needs them a while longer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session

DELETE = "DELETE /semgan/uploads/.*"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after a moment."""
    monkeypatch.setattr("SemGANLib.Runs.Removals.WAIT_SECONDS", (0.05,) * 6)
    monkeypatch.setattr("SemGANLib.Runs.Removals.CLOSING_WAIT_SECONDS", (0.05,) * 400)


@pytest.fixture
def volume(session: Session, scene: Any, server: FakeServer) -> Any:
    """A scan that is being refined; the job takes its time to obey when it is cancelled."""
    volume = add_scan(scene)
    server.versions, server.hold, server.stubborn = 1000, True, True
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    return volume


def end_jobs(server: FakeServer) -> None:
    """Let the jobs obey."""
    for job in server.jobs.values():
        job["state"] = "cancelled"


def refused(server: FakeServer) -> bool:
    """Tell whether the server was asked to remove the upload, which a job needed then."""
    return len(server.matches(DELETE)) > 1 and bool(server.uploads)


@pytest.mark.parametrize("how", ["scene", "volume"])
def test_an_upload_goes_when_the_job_has_ended_that_needs_it(session, scene, server, volume, how):
    scene.Clear(False) if how == "scene" else scene.RemoveNode(volume)
    session.wait(lambda: refused(server))
    end_jobs(server)
    session.wait(lambda: not server.uploads)
    session.settle()


def test_it_goes_after_the_module_was_closed_too(session, scene, server, volume):
    session.runner.close = lambda: type(session.runner).close(session.runner, 0.2)  # Slicer goes on
    session.close()
    assert server.uploads and server.matches("POST .*/cancel")
    end_jobs(server)
    deadline = time.monotonic() + 60
    while server.uploads and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not server.uploads


def test_what_waits_for_its_job_is_not_forgotten_when_the_module_is_closed(session, scene, server, volume, monkeypatch):
    monkeypatch.setattr("SemGANLib.Runs.Removals.WAIT_SECONDS", (60.0,))
    scene.Clear(False)
    session.wait(lambda: bool(server.matches(DELETE)))
    session.settle()
    end_jobs(server)
    session.close()
    assert not server.uploads


def test_slicer_ends_soon_although_the_server_does_not_let_the_upload_go(session, server, volume, monkeypatch):
    monkeypatch.setattr("SemGANLib.Runs.Removals.CLOSING_WAIT_SECONDS", (0.5,) * 200)
    begun = time.monotonic()
    session.close()
    assert time.monotonic() - begun < 50.0


def test_it_is_not_tried_for_ever(session, scene, server, volume):
    scene.Clear(False)
    session.wait(lambda: len(server.matches(DELETE)) == 7)
    for _ in range(30):
        session.pump()
        time.sleep(0.005)
    assert len(server.matches(DELETE)) == 7


def test_a_server_that_is_started_anew_meanwhile_is_told(session, scene, server, volume, monkeypatch):
    monkeypatch.setattr("SemGANLib.Runs.Removals.WAIT_SECONDS", (0.3,) * 6)
    server.die()
    scene.Clear(False)
    session.settle()
    end_jobs(server)
    server.listen(server.port)
    session.wait(lambda: not server.uploads)
