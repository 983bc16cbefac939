"""After a crash of Slicer the jobs that it has left at the server are offered again: to take up, or to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import VolumeExport
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Nrrd import Grid, encode
from SemGANLib.Types.JobTypes import Job, JobRequest
from SemGANLib.Types.ServerTypes import Access

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import expected, merged
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import MemorySettings, Session

OURS, THEIRS = "slicer-0123456789", "slicer-9876543210"


@pytest.fixture
def stored(scene: Any, server: FakeServer) -> FakeServer:
    """A server with an image, whose jobs do not end by themselves."""
    volume = add_scan(scene)
    server.images["ct_1"] = (".nrrd", encode(Grid(VolumeExport.voxels(volume), np.diag([-8.0, -8.0, 12.0, 1.0]))))
    scene.RemoveNode(volume)
    server.hold, server.versions = True, 1000
    return server


def begun(server: FakeServer, client: str = OURS, **request: Any) -> Job:
    """Begin a job whose client is gone."""
    asked = {"image": "ct_1", "mode": "refine", **request}
    return Client(server.address, Access(client=client)).submit(JobRequest(**asked))


def restarted(scene: Any, server: FakeServer) -> Session:
    """Start Slicer again, and connect."""
    settings = MemorySettings()
    settings.setValue("SemGAN/ClientId", OURS)
    session = Session(scene, settings)
    session.connect(server.address)
    return session


def test_a_job_that_was_left_is_followed_to_its_result(scene, stored):
    job = begun(stored)
    session = restarted(scene, stored)
    (left,) = session.logic.left_jobs
    assert (left.id, left.image, left.mode) == (job.id, "ct_1", "refine")
    session.logic.take_up(left.id)
    session.wait(lambda: session.opened and session.outcomes)
    assert session.logic.left_jobs == () and len(stored.jobs) == 1
    volume = session.opened[0]
    assert session.logic.run(volume).active and session.logic.run(volume).mode == "refine"
    stored.hold, stored.versions = False, 0
    assert session.finish(volume).phase == "done"
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_a_job_that_was_taken_up_is_cancelled_as_any_other(scene, stored):
    begun(stored)
    session = restarted(scene, stored)
    session.logic.take_up(session.logic.left_jobs[0].id)
    session.wait(lambda: session.outcomes)
    session.logic.cancel(session.opened[0])
    assert session.finish(session.opened[0]).phase == "cancelled"
    assert [job["state"] for job in stored.jobs.values()] == ["cancelled"]


def test_a_job_that_was_left_can_be_ended(scene, stored):
    begun(stored)
    session = restarted(scene, stored)
    heard: list[Any] = []
    session.logic.left_jobs_changed.connect(heard.append)
    session.logic.end_left(session.logic.left_jobs[0].id)
    session.settle()
    assert heard == [()] and [job["state"] for job in stored.jobs.values()] == ["cancelled"]


def test_a_job_that_has_ended_meanwhile_is_gone_from_the_list(scene, stored):
    job = begun(stored)
    session = restarted(scene, stored)
    stored.jobs[job.id]["state"] = "done"
    session.logic.end_left(job.id)
    session.settle()
    assert session.logic.left_jobs == () and not session.messages


def test_a_job_of_a_volume_that_was_only_sent_can_be_ended_but_not_taken_up(scene, stored):
    client = Client(stored.address, Access(client=OURS))
    upload = client.upload(stored.images["ct_1"][1])
    job = begun(stored, image=None, upload=upload.id)
    session = restarted(scene, stored)
    (left,) = session.logic.left_jobs
    assert left.image == ""
    session.logic.take_up(job.id)
    session.settle()
    assert not session.opened
    session.logic.end_left(job.id)
    session.settle()
    assert stored.jobs[job.id]["state"] == "cancelled"


def test_jobs_of_others_of_nobody_and_those_that_have_ended_are_not_offered(scene, stored):
    begun(stored, THEIRS)
    begun(stored, "")
    stored.jobs[begun(stored).id]["state"] = "done"
    assert restarted(scene, stored).logic.left_jobs == ()


def test_a_run_of_this_session_is_not_offered_when_it_connects_again(scene, stored):
    session = restarted(scene, stored)
    volume = add_scan(scene)
    session.logic.refine(volume)
    session.wait(lambda: session.outcomes)
    session.connect(stored.address)
    assert session.logic.left_jobs == () and session.logic.run(volume).active


def test_an_older_server_has_no_owners_and_nothing_is_offered(scene, stored, monkeypatch):
    begun(stored)
    stored.check = False
    monkeypatch.setattr(FakeServer, "_shown", lambda self, job, client: dict(job))
    assert restarted(scene, stored).logic.left_jobs == ()


def test_somebody_elses_job_is_not_cancelled_and_the_server_says_so(scene, stored):
    job = begun(stored, THEIRS)
    session = restarted(scene, stored)
    session.logic.end_left(job.id)
    session.settle()
    assert "belongs to somebody else" in session.messages[-1].text
    assert stored.jobs[job.id]["state"] == "queued"


def test_a_taken_up_job_whose_image_cannot_be_read_stays_in_the_list(scene, stored):
    begun(stored)
    session = restarted(scene, stored)
    stored.images["ct_1"] = (".nrrd", b"damaged")
    session.logic.take_up(session.logic.left_jobs[0].id)
    session.wait(lambda: session.messages)
    assert len(session.logic.left_jobs) == 1
