"""Connections of which nothing comes cost nobody else anything, and end."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="needs the environment of the extra label")

from monai_semgan.label_app.server.connections import ConnectionLimits
from tests.label_app.server.small_server import LARGE, all_of, connected, running

pytestmark = pytest.mark.label
HALF = b"GET /info/ HTTP/1.1\r\nHost: x\r\nX-Half:"
WHOLE = b"GET /info/ HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /info/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def many(address: tuple[str, int], count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections that are held open."""
    held = [connected(address, sent) for _ in range(count)]
    try:
        yield held
    finally:
        for one in held:
            one.close()


def alive(client: socket.socket) -> bool:
    """Whether the server has not closed the connection."""
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a header"])
def test_others_are_served_while_512_connections_bring_nothing(sent: bytes) -> None:
    with running() as address, many(address, 512, sent) as held:
        for _ in range(20):
            assert b'"here"' in all_of(connected(address, LAST))
        assert sum(alive(one) for one in held) <= ConnectionLimits().idle


def test_half_a_request_is_closed_after_a_while() -> None:
    with running(ConnectionLimits(header_seconds=1)) as address:
        for sent in (b"", HALF, WHOLE + HALF):
            client = connected(address, sent)
            all_of(client)  # ends


def test_a_header_that_grows_slowly_is_closed_as_well() -> None:
    with running(ConnectionLimits(header_seconds=1)) as address:
        client, deadline = connected(address, HALF), time.monotonic() + 100
        while alive(client) and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                client.sendall(b"x")
            time.sleep(0.1)
        assert not alive(client)


def test_those_that_have_brought_requests_stay_when_others_make_no_use_of_theirs() -> None:
    with running(ConnectionLimits(idle=4)) as address:
        useful = connected(address, WHOLE)
        answer = b""
        while b'"here"' not in answer:
            assert (part := useful.recv(1 << 16))
            answer += part
        with many(address, 20, HALF):
            useful.sendall(LAST)
            assert b'"here"' in all_of(useful)


def test_without_room_the_answer_says_so() -> None:
    waiting = b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    with running(ConnectionLimits(total=4, per_address=3), patience_seconds=100) as address:
        with many(address, 3, waiting) as held:
            for one in held:
                assert b"100 Continue" in one.recv(1 << 16)  # the request has been seen
            refused = all_of(connected(address, LAST))
        assert refused.startswith(b"HTTP/1.1 503") and "too many connections" in _detail(refused)
        deadline = time.monotonic() + 50
        while b'"here"' not in all_of(connected(address, LAST)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert b'"here"' in all_of(connected(address, LAST))


def test_an_answer_that_nobody_takes_is_given_up_and_one_that_is_taken_slowly_is_not() -> None:
    asked = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with running(ConnectionLimits(patience_seconds=3.0)) as address:
        slow = connected(address, asked, receive_buffer=1 << 16)
        stuck = connected(address, asked, receive_buffer=1 << 16)
        taken = 0
        for _ in range(18):
            taken += len(slow.recv(1 << 20))
            time.sleep(0.3)
        assert len(all_of(stuck)) < LARGE
        assert taken + len(all_of(slow)) > LARGE


def test_what_is_no_http_is_told_as_json() -> None:
    with running() as address:
        for sent in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET /info/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20)):
            answer = all_of(connected(address, sent))
            assert answer.startswith(b"HTTP/1.1 400") and "no HTTP" in _detail(answer)


def _detail(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["detail"])
