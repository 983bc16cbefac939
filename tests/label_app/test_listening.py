"""The address of the server: the same at every start, as far as that is possible."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.label_app.server import listening
from monai_semgan.label_app.server.listening import listen
from tests.free_ports import free_port

HOST = "127.0.0.1"


@pytest.fixture
def open_sockets() -> Iterator[ExitStack]:
    """Sockets that are closed in the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """A usual port that is free on this computer, with free ones after it."""
    port = free_port(following=5)
    monkeypatch.setattr(listening, "USUAL_PORT", port)
    return port


def _taken(stack: ExitStack, port: int) -> None:
    other = stack.enter_context(closing(socket.socket()))
    other.bind((HOST, port))
    other.listen()


def _listen(stack: ExitStack, port: int | None, file: Path) -> listening.Listener:
    listener = listen(HOST, port, file)
    stack.enter_context(closing(listener.socket))
    return listener


def test_the_usual_port_is_taken_and_nothing_has_to_be_said(
    tmp_path: Path, usual: int, open_sockets: ExitStack
) -> None:
    listener = _listen(open_sockets, None, tmp_path / "private" / "port")
    assert listener.port == usual and listener.note == ""


def test_where_it_is_taken_the_next_free_one_is_told_and_remembered(
    tmp_path: Path, usual: int, open_sockets: ExitStack
) -> None:
    file = tmp_path / "port"
    with ExitStack() as others:
        _taken(others, usual)
        _taken(others, usual + 1)
        first = _listen(others, None, file)
        port = first.port
        assert port > usual + 1
        assert str(usual) in first.note and str(port) in first.note and "\n" not in first.note
    again = _listen(open_sockets, None, file)  # though the usual one is free now
    assert again.port == port and again.note == ""


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(
    tmp_path: Path, usual: int, open_sockets: ExitStack
) -> None:
    _taken(open_sockets, usual)
    with pytest.raises(SemganError, match=f"port {usual}.*in use.*--port"):
        listen(HOST, usual, tmp_path / "port")
    assert not (tmp_path / "port").exists()


def test_port_0_takes_any_and_remembers_none(tmp_path: Path, usual: int, open_sockets: ExitStack) -> None:
    assert _listen(open_sockets, 0, tmp_path / "port").port > 0
    assert not (tmp_path / "port").exists()


@pytest.mark.parametrize("text", ["", "http", "-4", "70000", "80 81", "\x00"])
def test_a_damaged_memory_of_the_port_counts_as_none(
    text: str, tmp_path: Path, usual: int, open_sockets: ExitStack
) -> None:
    (tmp_path / "port").write_text(text)
    assert _listen(open_sockets, None, tmp_path / "port").port == usual


def test_an_address_that_is_not_of_this_computer_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="cannot listen on 203.0.113.7"):
        listen("203.0.113.7", None, tmp_path / "port")
