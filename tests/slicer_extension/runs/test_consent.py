"""Nothing leaves this computer unasked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import Session


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
