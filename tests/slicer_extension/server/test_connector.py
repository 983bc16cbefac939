"""The connection to a server: what is said of it, what is remembered, what to do where there is none."""

from __future__ import annotations

import re
import time

import pytest

from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.server.servers import Secure, make_certificate
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


def test_the_certificate_of_a_server_is_remembered_until_the_field_is_emptied(scene, tmp_path):
    own = make_certificate(tmp_path, "server")
    settings = MemorySettings()
    session = Session(scene, settings)
    with Secure(own) as address:
        session.logic.connect(address, certificate=str(own))
        session.settle()
        assert session.logic.connection.state == "on"
        assert Session(scene, settings).logic.saved_access() == (str(own), "")
        session.logic.connect(address)
        session.settle()
        assert session.logic.connection.state == "failed" and session.logic.connection.untrusted
        assert session.logic.saved_access() == ("", "")


def test_every_request_carries_the_id_of_this_installation_which_stays(scene, server):
    settings = MemorySettings()
    for _ in range(2):
        session = Session(scene, settings)
        session.connect(server.address)
        session.preview(add_scan(scene))
        session.close()
    ids = {headers.get("X-SemGAN-Client") for _, _, headers, _ in server.requests}
    assert len(ids) == 1 and re.fullmatch("[A-Za-z0-9_.-]{8,64}", ids.pop() or "")
    settings.setValue("SemGAN/ClientId", "no id\r\nat all")
    other = Session(scene, settings)
    other.connect(server.address)
    assert len({headers.get("X-SemGAN-Client") for _, _, headers, _ in server.requests}) == 2


# warming up


@pytest.fixture
def warming(scene, server, monkeypatch):
    """A session at a server that loads its model."""
    monkeypatch.setattr("SemGANLib.Server.Connector.WARMING_SECONDS", (0.01, 0.02))
    server.health = {"ready": False, "workers": [{"device": "cuda:0", "state": "warming"}]}
    session = Session(scene)
    session.connect(server.address)
    assert "arming up" in session.logic.connection.text
    return session


def test_warming_up_ends_when_the_server_is_ready(warming, server):
    shown = []
    warming.logic.connection_changed.connect(shown.append)
    session_models = warming.logic.connection.models
    warming.wait(lambda: len(server.matches("GET /semgan/health")) > 3)
    assert not shown, "nothing is new"
    server.health = {}
    warming.wait(lambda: warming.logic.connection.health.ready)
    assert "arming up" not in warming.logic.connection.text and len(shown) == 1
    assert warming.logic.connection.models == session_models
    count = len(server.matches("GET /semgan/health"))
    for _ in range(20):
        warming.pump()
    assert len(server.matches("GET /semgan/health")) == count, "it is not asked any more"


def test_a_server_that_is_away_while_it_warms_up_is_asked_again(warming, server):
    server.drop = 2
    warming.wait(lambda: server.drop == 0)
    server.health = {}
    warming.wait(lambda: warming.logic.connection.health.ready)
    assert warming.logic.connection.state == "on"


def test_a_server_that_becomes_another_one_is_left(warming, server):
    server.key = "changed"
    warming.wait(lambda: warming.logic.connection.state == "failed")
    assert "key" in warming.logic.connection.text


def test_a_server_is_not_asked_for_ever(warming, server, monkeypatch):
    monkeypatch.setattr("SemGANLib.Server.Connector.WARMING_TRIES", 3)
    warming.wait(lambda: len(server.matches("GET /semgan/health")) >= 4)  # once to connect
    for _ in range(40):  # it may have been under way to further ones
        warming.pump()
        time.sleep(0.005)
    warming.settle()
    count = len(server.matches("GET /semgan/health"))
    for _ in range(20):
        warming.pump()
        time.sleep(0.005)
    assert len(server.matches("GET /semgan/health")) == count


def test_disconnecting_ends_the_asking(warming, server):
    warming.logic.disconnect()
    warming.settle()
    count = len(server.matches("GET /semgan/health"))
    for _ in range(20):
        warming.pump()
        time.sleep(0.005)
    assert len(server.matches("GET /semgan/health")) == count and warming.logic.connection.state == "off"
