"""MONAI Label's log-in: a token for name and password, renewed when it has expired; the password is never stored."""

from __future__ import annotations

import threading

import pytest
from SemGANLib.Server import Errors
from SemGANLib.Server.Client import Client
from SemGANLib.Types.ServerTypes import Access

from tests.slicer_extension.session import MemorySettings, Session

READER = Access(user="ada", password="correct horse")


@pytest.fixture
def guarded(server):
    """A server with the log-in."""
    server.login = {"ada": "correct horse"}
    return server


def test_name_and_password_get_in(guarded):
    client = Client(guarded.address, READER)
    assert client.user == "" and client.health().ready and client.user == "ada"
    client.models()
    assert len(guarded.matches("POST /auth/token")) == 1, "the token is used again"


def test_a_token_that_has_expired_is_renewed_once_for_all_threads(guarded):
    client = Client(guarded.address, READER)
    client.health()
    guarded.tokens.clear()
    errors = list[Exception]()

    def ask() -> None:
        try:
            client.models()
        except Errors.ServerError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not errors and len(guarded.matches("POST /auth/token")) == 2


@pytest.mark.parametrize("access", [Access(), Access(user="ada"), Access(key="a-key")])
def test_who_has_not_logged_in_is_asked_to(guarded, access):
    with pytest.raises(Errors.NeedsLogin, match="user name and password"):
        Client(guarded.address, access).health()


def test_a_wrong_password_is_tried_once_and_never_again(guarded):
    client = Client(guarded.address, Access(user="ada", password="wrong"))
    with pytest.raises(Errors.NeedsLogin, match="refuses the password of “ada”"):
        client.health()
    for _ in range(3):
        with pytest.raises(Errors.NeedsLogin):
            client.models()
    assert len(guarded.matches("POST /auth/token")) == 1, "more would lock the account"


def test_key_and_log_in_are_sent_side_by_side(guarded):
    guarded.key = "open sesame"
    with pytest.raises(Errors.WrongKey):
        Client(guarded.address, READER).health()
    assert not guarded.matches("POST .*"), "no password for a server that does not take the key"
    assert Client(guarded.address, Access("open sesame", user="ada", password="correct horse")).health().ready


def test_a_name_does_no_harm_at_a_server_without_log_in(server):
    client = Client(server.address, READER)
    assert client.health().ready and client.user == ""
    assert not server.matches(".*auth.*")
    assert "correct horse" not in str(server.requests)


def test_a_log_in_server_that_does_not_answer_is_named(guarded):
    guarded.status_at["POST /auth/token"] = 503
    with pytest.raises(Errors.Busy, match="told to fail here"):
        Client(guarded.address, READER).health()


@pytest.mark.parametrize("token", ["", "two\r\nlines", "ä", 5, None])
def test_a_token_that_no_header_carries_is_not_sent(guarded, monkeypatch, token):
    monkeypatch.setattr(type(guarded), "_log_in", lambda *_: (200, {"enabled": True, "access_token": token}))
    with pytest.raises((Errors.NeedsLogin, Errors.ServerFault)):
        Client(guarded.address, READER).health()


def test_the_password_is_nowhere_but_in_memory(scene, guarded, tmp_path):
    settings = MemorySettings()
    session = Session(scene, settings)
    session.logic.connect(guarded.address, user="ada", password="correct horse")
    session.settle()
    assert session.logic.connection.state == "on" and session.logic.connection.user == "ada"
    assert session.logic.saved_access() == ("", "ada")
    assert "horse" not in str(settings.stored) + repr(session.logic.connection) + repr(READER)


def test_the_panel_hears_that_a_name_and_a_password_are_wanted(scene, guarded):
    session = Session(scene)
    session.connect(guarded.address)
    assert session.logic.connection.state == "failed" and session.logic.connection.login
    session.logic.connect(guarded.address, user="ada", password="correct horse")
    session.settle()
    assert session.logic.connection.state == "on" and not session.logic.connection.login
