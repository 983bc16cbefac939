"""The connection to a server: what is said of it, what is remembered, what to do where there is none."""

from __future__ import annotations

import pytest

from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.session import MemorySettings, Session


def test_it_says_to_what_it_is_connected(session, server):
    connection = session.logic.connection
    assert connection.state == "on" and connection.local
    assert server.address in connection.text
    assert "semgan_abdomen 1.2" in connection.text and "cpu" in connection.text.lower()


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
