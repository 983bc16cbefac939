"""Scans whose labels are submitted: sent once, on where a broken connection left them, shown, and stopped at once."""

from __future__ import annotations

import re

import numpy as np
import pytest
from SemGANLib.Datastore.Submitting import Submitting
from SemGANLib.Runs.Runner import Runner
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Server import Errors
from SemGANLib.Server.Nrrd import decode

from tests.slicer_extension.nodes import add_transform
from tests.slicer_extension.scans import add_scan

SENT = "(POST|PATCH) /semgan/uploads.*|PUT /datastore/image.*"
"""Requests that bring a scan."""


def scan_of(server):
    """The only image of the server."""
    ((_, data),) = server.images.values()
    return decode(data)


def test_what_was_sent_for_the_preview_is_not_sent_again(session, scene, server):
    volume = add_scan(scene, "oblique")
    session.preview(volume)
    before = len(server.matches(SENT))
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "info" and len(server.labels) == 1
    assert len(server.matches(SENT)) == before
    np.testing.assert_array_equal(scan_of(server).array, VolumeExport.voxels(volume))
    np.testing.assert_allclose(scan_of(server).affine, Geometry.ijk_to_ras(volume), atol=1e-9)


def test_what_the_server_has_removed_meanwhile_is_sent(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    server.uploads.clear()
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "info" and len(server.labels) == 1
    np.testing.assert_array_equal(scan_of(server).array, VolumeExport.voxels(volume))
    assert not server.uploads, "what was sent for the image alone is removed"


def test_a_scan_under_a_transform_is_sent_where_it_lies_without_it(session, scene, server):
    volume = add_scan(scene)
    moved = np.eye(4)
    moved[:3, 3] = 5.0, -7.0, 11.0
    volume.SetAndObserveTransformNodeID(add_transform(scene, moved).GetID())
    session.preview(volume)
    session.logic.submit(volume, "me")
    session.settle()
    np.testing.assert_allclose(scan_of(server).affine, Geometry.ijk_to_ras(volume), atol=1e-9)


def test_a_scan_that_was_edited_since_is_sent_as_it_is_now(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    VolumeExport.voxels(volume)[0, 0, 0] += 7
    volume.GetImageData().Modified()
    session.logic.submit(volume, "me")
    session.settle()
    np.testing.assert_array_equal(scan_of(server).array, VolumeExport.voxels(volume))


def test_a_scan_goes_on_where_a_broken_connection_left_it(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    server.uploads.clear()
    server.breaks = [100, 50]
    already = len(server.requests)
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "info" and len(server.labels) == 1
    paths = [path for method, path, *_ in server.requests[already:] if method == "PATCH"]
    offsets = [int(re.search(r"offset=(\d+)", path).group(1)) for path in paths]
    assert offsets == sorted(offsets) and offsets[-1] == 150


def test_an_older_server_gets_the_scan_in_one_go(session, scene, server):
    server.older = True
    volume = add_scan(scene)
    session.preview(volume)
    server.uploads.clear()
    session.logic.submit(volume, "me")
    session.settle()
    assert len(server.matches("PUT /datastore/image.*")) == 1 and len(server.labels) == 1


def test_an_image_whose_answer_was_lost_does_not_become_two(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    server.unanswered = ["PUT /semgan/uploads/.*/image.*"]
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "error" and len(server.images) == 1
    session.logic.submit(volume, "me")
    session.settle()
    assert session.messages[-1].level == "info" and len(server.images) == 1 == len(server.labels)


class _Slow:
    """A submission whose scan is on its way until it is stopped."""

    has_image = False
    transfer = None

    def send(self, client):
        self.transfer.begin(50_000_000, 10_000_000)
        while not self.transfer.stopped:
            pass
        raise Errors.stopped()


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.close()


def test_it_is_shown_how_far_the_scan_is_and_stopping_ends_it_at_once(runner, session):
    said, shown = [], []
    submitting = Submitting(
        runner, lambda *_: True, lambda *message: said.append(message), lambda *_: None, lambda *_: None
    )
    submitting.changed.connect(shown.append)
    submitting.begin(None, _Slow())

    def pumped(until):
        return lambda: (runner.pump(), until())[1]

    session.wait(pumped(lambda: any("10 of 50 MB" in one.text for one in shown)))
    assert submitting.active and shown[-1].active
    submitting.stop()
    session.wait(pumped(lambda: not submitting.active))
    assert not shown[-1].active and said == [("info", "Stopped: nothing was submitted.")]
