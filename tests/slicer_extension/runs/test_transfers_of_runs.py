"""A run shows how far its volume is, ends at once when it is cancelled on the way, and leaves nothing at the server."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import numpy as np
import pytest
from SemGANLib.Server.Transfer import Transfer
from SemGANLib.Texts import transfer_text
from SemGANLib.Views import IMPORTING, UPLOADING, Moved

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.nodes import expected, merged
from tests.slicer_extension.scans import add_scan, add_volume

MB = 1_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, short waits, a look at transfers often."""
    monkeypatch.setattr("SemGANLib.Server.Resumable.PART", 100_000)
    monkeypatch.setattr("SemGANLib.Server.Resumable.WAIT_SECONDS", (0.02,) * 4)
    monkeypatch.setattr("SemGANLib.Runs.RunSigns.MOVING_SECONDS", 0.02)
    monkeypatch.setattr("SemGANLib.Texts.SHOWN_BYTES", 10_000)


def noise(scene: Any) -> Any:
    """Add a volume of a few hundred kB."""
    array = np.random.default_rng(0).integers(0, 2000, (16, 100, 150)).astype(np.int16)
    return add_volume(scene, array, np.diag([-2.0, -2.0, 3.0, 1.0]))


@pytest.mark.parametrize(
    ("moved", "text"),
    [
        (Moved(12 * MB, 367 * MB, 1.23 * MB, 290.0), "Sending the volume: 12 of 367 MB, 1.2 MB/s, about 5 min left"),
        (Moved(0, 367 * MB), "Sending the volume: 0 of 367 MB"),
        (Moved(367 * MB, 367 * MB, 1.0 * MB, 0.0), "Sending the volume: 367 of 367 MB, 1.0 MB/s"),
        (
            Moved(12 * MB, 367 * MB, 0.0, None, True),
            "Sending the volume: 12 of 367 MB have arrived; the connection is broken, trying again",
        ),
        (Moved(100, 5000, 10.0, 490.0), "Sending the volume"),
        (Moved(100, None, 10.0), "Sending the volume"),
    ],
)
def test_how_far_a_volume_is_in_words(monkeypatch, moved, text):
    monkeypatch.setattr("SemGANLib.Texts.SHOWN_BYTES", 2 * MB)
    assert transfer_text(UPLOADING, moved) == text


def test_the_run_shows_bytes_and_speed_while_the_volume_is_sent(session, scene, server):
    server.deaf = 0.3
    volume = noise(scene)
    assert session.preview(volume).phase == "done"
    sending = [run for run in session.seen if run.phase == "uploading"]
    fractions = [run.fraction for run in sending if run.fraction is not None]
    assert fractions == sorted(fractions) and len({round(one, 2) for one in fractions}) > 3
    assert any(re.fullmatch(r"Sending the volume: \d of \d MB, \d\.\d MB/s, about \d+ s left", r.text) for r in sending)


def test_a_connection_that_breaks_on_the_way_is_not_noticed_by_the_user(session, scene, server):
    server.breaks = [30_000, 0, 90_000, 5]
    volume = noise(scene)
    assert session.preview(volume).phase == "done" and not session.messages
    assert not server.breaks
    np.testing.assert_array_equal(next(iter(server.uploads.values())).array, np.asarray(expected_voxels(volume)))


def expected_voxels(volume: Any) -> Any:
    """Read the voxels of a node."""
    from SemGANLib.Scene import VolumeExport

    return VolumeExport.voxels(volume)


def test_while_the_connection_is_broken_the_run_says_so(session, scene, server, monkeypatch):
    monkeypatch.setattr("SemGANLib.Server.Resumable.WAIT_SECONDS", (1.5,) * 4)
    server.breaks = [60_000]
    assert session.preview(noise(scene)).phase == "done"
    assert any("the connection is broken, trying again" in run.text for run in session.seen)


@pytest.mark.parametrize("how", ["cancel", "delete", "close the scene", "close the module"])
def test_a_volume_in_the_middle_of_its_way_is_stopped_at_once_and_removed(session, scene, server, how, monkeypatch):
    hold, receive = threading.Event(), FakeServer._uploads

    def slow(self: FakeServer, method: str, *rest: Any) -> Any:
        if method == "PATCH" and len(server.matches("PATCH .*")) > 1:
            hold.wait(200)
        return receive(self, method, *rest)

    monkeypatch.setattr(FakeServer, "_uploads", slow)
    volume = noise(scene)
    session.logic.refine(volume)
    session.wait(lambda: len(server.matches("PATCH .*")) == 2)
    if how == "cancel":
        session.logic.cancel(volume)
        assert session.logic.run(volume).phase == "cancelled"
    elif how == "delete":
        scene.RemoveNode(volume)
    elif how == "close the scene":
        scene.Clear(False)
    else:
        session.close()
    deadline = time.monotonic() + 60
    while server.parts and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not server.parts, "the answer to what was on its way is not waited for"
    hold.set()
    assert not server.uploads and not server.jobs
    assert len(server.matches("PATCH .*")) == 2, "the rest was not sent"


def test_maps_whose_connection_breaks_are_fetched_again(session, scene, server):
    server.unanswered = ["GET .*/result/reconstruction.*", "GET .*/result/residual.*"]
    volume = add_scan(scene)
    assert session.refine(volume).phase == "done" and not session.messages
    assert set(session.logic.outcome(volume).maps) == {"reconstruction", "residual", "uncertainty"}
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_cancelling_stops_a_download_that_waits(session, scene, server, monkeypatch):
    hold, waiting = threading.Event(), threading.Event()
    part = FakeServer._part

    def slow(self: FakeServer, job: dict[str, Any], name: str) -> bytes:
        if name == "residual":
            waiting.set()
            hold.wait(200)
        return part(self, job, name)

    monkeypatch.setattr(FakeServer, "_part", slow)
    volume = add_scan(scene)
    session.logic.refine(volume)
    session.wait(waiting.is_set)
    session.logic.cancel(volume)
    run = session.finish(volume)
    assert run.phase in ("done", "cancelled") and session.logic.outcome(volume) is not None
    hold.set()
    session.settle()


def test_a_transfer_says_what_is_shown_of_it():
    now = [0.0]
    transfer = Transfer(clock=lambda: now[0])
    transfer.begin(20 * MB)
    now[0] = 2.0
    transfer.moved(4 * MB)
    assert transfer.moved_so_far() == Moved(4 * MB, 20 * MB, 2.0 * MB, 8.0)
    assert transfer_text(IMPORTING, transfer.moved_so_far()).endswith("4 of 20 MB, 2.0 MB/s, about 8 s left")
