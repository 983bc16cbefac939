"""Volumes arrive over slow and broken networks; patience is for a step without progress; stopping works at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from SemGANLib.Server import Errors, Http, Resumable
from SemGANLib.Server.Address import read_address
from SemGANLib.Server.Client import Client
from SemGANLib.Server.Nrrd import Grid, encode
from SemGANLib.Server.Transfer import Transfer
from SemGANLib.Types.ServerTypes import Access

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.server.servers import Reader, Speaker, make_certificate, serving

SIZE = 8_000_000
VOLUME = np.random.default_rng(0).integers(0, 3000, (20, 50, 100)).astype(np.int16)
SCAN = encode(Grid(VOLUME, np.diag([2.0, 2.0, 3.0, 1.0])))
"""200 kB that cannot be compressed."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, short waits."""
    monkeypatch.setattr(Resumable, "PART", 50_000)
    monkeypatch.setattr(Resumable, "LEAST", 1000)
    monkeypatch.setattr(Resumable, "WAIT_SECONDS", (0.01,) * 4)
    monkeypatch.setattr(Resumable, "BEGIN_WAIT_SECONDS", (0.01,) * 2)


def http(address: str, seconds: float, certificate: str = "") -> Http.Http:
    """Make what sends single requests."""
    return Http.Http(read_address(address), Access(certificate=certificate), seconds)


def test_a_slow_but_steady_network_takes_longer_than_the_patience():
    reader = Reader(pause=0.1)
    with reader as address:
        answer = http(address, 2.0).request("POST", "/x", bytes(SIZE))  # some six seconds
    assert answer.body == b"ok" and reader.received == [SIZE]


def test_a_network_that_stands_still_is_noticed_within_the_patience():
    with Reader(pause=30.0) as address, pytest.raises(Errors.TimedOut):
        http(address, 0.3).request("POST", "/x", bytes(5 * SIZE))


def test_a_slow_but_steady_answer_is_read_to_its_end():
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {10 * 1000}\r\n\r\n".encode()
    with Speaker([head, *[bytes(1000)] * 10], pause=0.15) as address:
        watched = Transfer()
        assert len(http(address, 0.8).request("GET", "/x", transfer=watched).body) == 10_000
        assert watched.done == watched.total == 10_000


def test_an_answer_that_ends_early_is_no_whole_one():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    with Speaker([head, bytes(4999)]) as address, pytest.raises(Errors.ConnectionLost):
        http(address, 1.0).request("GET", "/x", transfer=Transfer())


def test_a_server_that_refuses_before_it_has_read_all_is_heard():
    body = b'{"detail": "larger than the server takes"}'
    answer = f"HTTP/1.1 413 X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    with Speaker([answer], pause=1.0) as address, pytest.raises(Errors.Refused, match="larger than"):
        http(address, 5.0).request("POST", "/x", bytes(5 * SIZE))


@pytest.mark.parametrize("way", ["sending", "sending by https", "waiting for the answer", "reading"])
def test_what_is_stopped_ends_at_once_in_whatever_step_it_waits(way, tmp_path):
    own = make_certificate(tmp_path, "server") if "https" in way else None
    stuck: Any = {
        "sending": Reader(pause=60.0),
        "sending by https": Reader(pause=60.0, tls=serving(own) if own else None),
        "waiting for the answer": Speaker([b"HTTP/1.1 200 OK\r\n"], pause=60.0),
        "reading": Speaker([b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", bytes(100)], pause=60.0),
    }[way]
    watched, errors = Transfer(), list[Exception]()

    def send(address: str) -> None:
        try:
            body = bytes(5 * SIZE) if "sending" in way else None
            http(address, 60.0, str(own or "")).request("POST", "/x", body, transfer=watched)
        except Errors.ServerError as error:
            errors.append(error)

    with stuck as address:
        where = address.replace("127.0.0.1", "https://localhost") if own else address
        thread = threading.Thread(target=send, args=(where,), daemon=True)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it is stuck"
        watched.stop()
        thread.join(100)
    assert isinstance(errors[0], Errors.Stopped)


# uploads in parts


@settings(deadline=None, max_examples=25)
@given(breaks=st.lists(st.integers(1001, 60_000), max_size=8))
def test_a_volume_arrives_whole_wherever_the_connection_breaks(breaks: list[int]) -> None:
    with FakeServer(breaks=list(breaks)) as server:
        watched = Transfer()
        upload = Client(server.address).upload(SCAN, transfer=watched)
        np.testing.assert_array_equal(server.uploads[upload.id].array, VOLUME)
        assert watched.done == watched.total == len(SCAN)
        assert not server.errors and len(server.uploads) == len(server.parts) == 1
        sent = sum(len(body) for method, _, _, body in server.requests if method == "PATCH")
        assert sent <= len(SCAN), "what had arrived is not sent again"


def test_a_connection_that_never_gets_anywhere_is_given_up_and_leaves_nothing(server):
    server.breaks = [0] * 100
    with pytest.raises(Errors.ConnectionLost):
        Client(server.address).upload(SCAN)
    assert 90 < len(server.breaks) < 100 and not server.parts


def test_an_answer_that_is_lost_is_asked_for_again(server):
    server.unanswered = ["POST /semgan/uploads/parts.*", "PATCH .*", "GET /semgan/uploads/.*", "PATCH .*"]
    Client(server.address).upload(SCAN)
    (grid,) = server.uploads.values()
    np.testing.assert_array_equal(grid.array, VOLUME)


def test_the_verdict_on_a_volume_whose_last_answer_was_lost_is_found_out(server):
    small = SCAN[:0] + encode(Grid(VOLUME[:1], np.eye(4)))
    server.unanswered = ["PATCH .*"]
    Client(server.address).upload(small)
    assert len(server.uploads) == 1 and len(server.matches("PATCH .*")) == 1


def test_a_volume_that_is_refused_is_not_sent_twice(server):
    server.refuses = "the file is damaged"
    with pytest.raises(Errors.Refused, match="the file is damaged"):
        Client(server.address).upload(SCAN)
    assert len(server.matches("POST .*")) == 1 and not server.parts


def test_an_upload_that_the_server_has_lost_in_the_middle_is_begun_once_more(server, monkeypatch):
    lose = iter([False, True, False, False, False, False, False])
    receive = FakeServer._uploads

    def losing(self: FakeServer, method: str, *rest: Any) -> Any:
        if method == "PATCH" and next(lose):
            self.parts.clear()
        return receive(self, method, *rest)

    monkeypatch.setattr(FakeServer, "_uploads", losing)
    Client(server.address).upload(SCAN)
    assert len(server.uploads) == 1 and len(server.matches("POST .*")) == 2


@pytest.mark.parametrize("status", [404, 405])
def test_an_older_server_gets_the_volume_in_one_go(server, status):
    server.status_at = {"POST /semgan/uploads/parts.*": status}
    client = Client(server.address)
    client.upload(SCAN)
    client.upload(SCAN)
    assert len(server.uploads) == 2
    assert len(server.matches("POST .*/parts.*")) == 1, "it is asked for once"


def test_nobody_waits_long_to_hear_that_there_is_no_server(server):
    server.die()
    begun = time.monotonic()
    with pytest.raises(Errors.NoServer):
        Client(server.address).upload(SCAN)
    assert time.monotonic() - begun < 40.0, "all its waits are 98 s"
    server.listen(server.port)


def test_a_stopped_upload_ends_between_parts_and_in_waits_and_is_removed(server, monkeypatch):
    monkeypatch.setattr(Resumable, "WAIT_SECONDS", (600.0,))
    server.breaks = [0] * 100
    watched, errors = Transfer(), list[Exception]()

    def send() -> None:
        try:
            Client(server.address).upload(SCAN, transfer=watched)
        except Errors.ServerError as error:
            errors.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    deadline = time.monotonic() + 100
    while len(server.breaks) == 100 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    watched.stop()
    thread.join(100)
    assert isinstance(errors[0], Errors.Stopped) and not server.parts


@pytest.mark.parametrize("received", [-1, "5", None, True, 1.5])
def test_a_server_that_counts_wrongly_is_named(server, monkeypatch, received):
    server.check = False
    monkeypatch.setattr(
        FakeServer, "_progress", lambda self, upload: {"id": upload, "received": received, "bytes": 5, "upload": None}
    )
    with pytest.raises(Errors.WrongVersion, match="received"):
        Client(server.address).upload(SCAN)


# what is told of it


def test_speed_and_time_left_are_those_of_the_last_seconds():
    now = [0.0]
    watched = Transfer(clock=lambda: now[0])
    watched.begin(1_000_000)
    assert watched.speed() is None and watched.seconds_left() is None
    for _ in range(40):
        now[0] += 0.5
        watched.moved(10_000)
    assert watched.speed() == pytest.approx(20_000, rel=0.1)
    assert watched.seconds_left() == pytest.approx(30, rel=0.1)
    for _ in range(40):
        now[0] += 0.5
        watched.moved(1000)
    assert watched.speed() == pytest.approx(2000, rel=0.1)
    assert watched.done == 440_000 and watched.fraction == pytest.approx(0.44)


def test_bytes_that_must_be_sent_again_do_not_count_as_speed():
    now = [0.0]
    watched = Transfer(clock=lambda: now[0])
    watched.begin(1000)
    now[0] = 1.0
    watched.moved(900)
    watched.begin(1000, 100)
    now[0] = 2.0
    watched.moved(100)
    assert watched.done == 200 and watched.speed() == pytest.approx(100)


def test_a_whole_that_is_not_known_has_no_fraction():
    watched = Transfer()
    watched.begin(None)
    watched.moved(10)
    assert watched.fraction is None and watched.seconds_left() is None and watched.done == 10
