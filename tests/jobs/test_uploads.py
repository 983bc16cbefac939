"""Uploads that go on where a broken connection left them, over real sockets."""

from __future__ import annotations

import itertools
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.jobs.conftest import BYTES, Serve, Server

pytestmark = pytest.mark.label

MakeStudies = Callable[[], Path]

SECONDS = 100
"""Only so that a server that hangs ends the test."""

READER = {"X-SemGAN-Client": "reader-one"}
ANOTHER = {"X-SemGAN-Client": "reader-two"}


@pytest.fixture(scope="module")
def scan(server: Server) -> bytes:
    """The file of a scan."""
    return (server.studies / "ct.nii.gz").read_bytes()


def begin(server: Server, count: int, suffix: str = ".nii.gz", headers: dict[str, str] | None = None) -> Any:
    """Response to the announcement of an upload."""
    return server.ask("POST", "/uploads/parts", params={"suffix": suffix, "bytes": count}, headers=headers)


def send(server: Server, upload: str, offset: int, content: bytes, headers: dict[str, str] | None = None) -> Any:
    """Response to a part."""
    everything = {**BYTES, **(headers or {})}
    return server.ask("PATCH", f"/uploads/{upload}", params={"offset": offset}, data=content, headers=everything)


@contextmanager
def half_sent(server: Server, upload: str, offset: int, announced: int, content: bytes) -> Iterator[socket.socket]:
    """Send the beginning of a part, once the server asks for it, over a connection of its own, which stays open."""
    where = urlsplit(server.address)
    with socket.create_connection((where.hostname, where.port)) as connection:
        head = f"PATCH /semgan/uploads/{upload}?offset={offset} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {announced}\r\n"
        connection.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert b"100 Continue" in connection.recv(1000)
        connection.sendall(content)
        yield connection


def received(server: Server, upload: str) -> int:
    """Bytes that a server has."""
    return int(server.get(f"/uploads/{upload}").json()["received"])


def go_on(server: Server, upload: str, scan: bytes) -> Any:
    """Response to the rest of a scan, once the server knows that nobody sends the part before it any more."""
    deadline = time.monotonic() + SECONDS
    while (answer := send(server, upload, at := received(server, upload), scan[at:])).status_code == 409:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    return answer


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_parts_of_any_length_make_the_file_that_was_sent(cuts: list[int], server: Server, scan: bytes) -> None:
    places = [0, *sorted(cut * len(scan) // 2000 for cut in cuts), len(scan)]
    begun = begin(server, len(scan))
    assert begun.status_code == 201, begun.text
    upload = begun.json()["id"]
    assert begun.json() == {**begun.json(), "received": 0, "bytes": len(scan), "upload": None}
    for first, last in itertools.pairwise(places):
        answer = send(server, upload, first, scan[first:last])
        assert answer.status_code == 200 and answer.json()["received"] == last, answer.text
    whole = server.upload(scan).json()
    assert {**answer.json()["upload"], "id": 0, "expires": 0} == {**whole, "id": 0, "expires": 0}
    assert (server.studies / ".semgan" / "uploads" / upload / "volume.nii.gz").read_bytes() == scan
    for one in (upload, whole["id"]):
        assert server.ask("DELETE", f"/uploads/{one}").status_code == 204


def test_what_has_arrived_stays_when_the_connection_breaks_and_the_upload_goes_on_there(
    server: Server, scan: bytes
) -> None:
    upload, half = begin(server, len(scan)).json()["id"], len(scan) // 2
    with half_sent(server, upload, 0, len(scan), scan[:half]) as connection:
        for byte in scan[half : half + 500]:  # what comes in a second is written together
            if received(server, upload) >= half:
                break
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
    assert received(server, upload) >= half
    answer = go_on(server, upload, scan)
    assert answer.status_code == 200 and answer.json()["upload"]["id"] == upload
    job = server.submit(upload=upload)
    server.done(job)
    assert server.get(f"/jobs/{job}/result").json()["shape"] == answer.json()["upload"]["shape"]
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


@pytest.mark.parametrize("offset", [0, 999, 1001, 10**9])
def test_a_part_that_does_not_go_on_where_the_upload_stands_is_told_where_that_is(
    offset: int, server: Server, scan: bytes
) -> None:
    upload = begin(server, len(scan)).json()["id"]
    assert send(server, upload, 0, scan[:1000]).json()["received"] == 1000
    answer = send(server, upload, offset, scan[1000:2000])
    assert answer.status_code == 409 and "1000 bytes are there" in answer.json()["detail"]
    assert received(server, upload) == 1000
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_of_several_parts_at_once_one_is_taken(server: Server, scan: bytes) -> None:
    upload, answers = begin(server, len(scan)).json()["id"], []

    def one() -> None:
        import requests

        url = f"{server.address}/semgan/uploads/{upload}?offset=0"
        answers.append(requests.patch(url, data=scan, headers=BYTES, timeout=60))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] + 7 * [409], [a.text for a in answers]
    assert (server.studies / ".semgan" / "uploads" / upload / "volume.nii.gz").read_bytes() == scan
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_a_part_that_is_coming_is_not_disturbed(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan)).json()["id"]
    with half_sent(server, upload, 0, len(scan), scan[:100]) as connection:
        answer = send(server, upload, 0, scan)
        assert answer.status_code == 409 and "another part" in answer.json()["detail"]
        connection.sendall(scan[100:])
        assert b"200 OK" in connection.recv(1000)
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_a_connection_that_died_unnoticed_does_not_hold_the_upload(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan)).json()["id"]
    with half_sent(server, upload, 0, len(scan), scan[:100]):
        answer = go_on(server, upload, scan)
        assert answer.status_code == 200 and answer.json()["upload"] is not None
    time.sleep(0.5)  # the dead one's bytes come late
    assert (server.studies / ".semgan" / "uploads" / upload / "volume.nii.gz").read_bytes() == scan
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_an_upload_goes_on_after_the_server_was_killed(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    scan = (studies / "ct.nii.gz").read_bytes()
    server = serve(studies)
    upload = begin(server, len(scan), headers=READER).json()["id"]
    assert send(server, upload, 0, scan[:5000], READER).json()["received"] == 5000
    unread = begin(server, len(scan), headers=READER).json()["id"]
    server.kill()
    (studies / ".semgan" / "uploads" / unread / "volume.nii.gz").write_bytes(scan)  # killed before it was read
    again = serve(studies)
    assert send(again, upload, 5000, scan[5000:], ANOTHER).status_code == 403
    answer = send(again, upload, 5000, scan[5000:], READER)
    assert answer.status_code == 200 and answer.json()["upload"]["bytes"] == len(scan)
    assert again.get(f"/uploads/{unread}", headers=READER).json()["upload"]["id"] == unread
    again.kill()
    third = serve(studies)
    assert third.get(f"/uploads/{upload}", headers=ANOTHER).status_code == 403
    assert third.ask("DELETE", f"/uploads/{upload}", headers=ANOTHER).status_code == 403
    third.done(third.submit(upload=upload))
    assert third.ask("DELETE", f"/uploads/{upload}", headers=READER).status_code == 204


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")
def test_on_a_full_disk_what_has_arrived_stays_and_goes_on_when_there_is_room(
    serve: Serve, make_studies: MakeStudies
) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))

    studies = make_studies()
    scan = (studies / "ct.nii.gz").read_bytes()
    server = serve(studies, before=small_files)
    upload = begin(server, len(scan)).json()["id"]
    full = send(server, upload, 0, scan)
    assert full.status_code == 507 and "disk is full" in full.json()["detail"]
    assert received(server, upload) == 4_000
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert send(server, upload, 4_000, scan[4_000:]).json()["upload"]["bytes"] == len(scan)


def test_unfinished_uploads_count_in_the_limit_of_the_disk(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies(), disk_limit_bytes=300_000)
    first, second = (begin(server, 200_000, ".nii").json()["id"] for _ in range(2))
    assert send(server, first, 0, bytes(190_000)).status_code == 200
    refused = send(server, second, 0, bytes(150_000))
    assert refused.status_code == 507 and "no room" in refused.json()["detail"]
    assert begin(server, 290_000, ".nii").status_code == 507
    assert received(server, first) == 190_000 and received(server, second) == 0
    assert server.get("/health").json()["disk_bytes"] >= 190_000


def test_what_nobody_goes_on_with_is_removed(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies())
    kept, forgotten = (begin(server, 1000, ".nii").json()["id"] for _ in range(2))
    assert 3500 < server.get(f"/uploads/{kept}").json()["expires"] - time.time() <= 3600
    folder = server.studies / ".semgan" / "uploads" / forgotten
    before = time.time() - 3700
    os.utime(folder / "volume.nii", (before, before))
    deadline = time.monotonic() + SECONDS
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.get(f"/uploads/{forgotten}").status_code == 404
    assert received(server, kept) == 0


def test_only_so_many_are_unfinished_at_once(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies())
    answers = [begin(server, 1000, ".nii") for _ in range(33)]
    assert [answer.status_code for answer in answers] == 32 * [201] + [429]
    assert "unfinished" in answers[-1].json()["detail"]
    assert server.ask("DELETE", f"/uploads/{answers[0].json()['id']}").status_code == 204
    assert begin(server, 1000, ".nii").status_code == 201


def test_an_upload_belongs_to_the_client_that_began_it(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan), headers=READER).json()["id"]
    for headers in (ANOTHER, None):
        answer = send(server, upload, 0, scan, headers)
        assert answer.status_code == 403 and "another user's" in answer.json()["detail"]
        assert server.get(f"/uploads/{upload}", headers=headers).status_code == 403
        assert server.ask("DELETE", f"/uploads/{upload}", headers=headers).status_code == 403
    assert send(server, upload, 0, scan, READER).json()["upload"]["id"] == upload
    assert server.ask("DELETE", f"/uploads/{upload}", headers=READER).status_code == 204


def test_an_upload_of_nobody_is_anybodys(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan)).json()["id"]
    assert send(server, upload, 0, scan, READER).json()["upload"]["id"] == upload
    assert server.ask("DELETE", f"/uploads/{upload}", headers=ANOTHER).status_code == 204


@pytest.mark.parametrize("content", [b"hello", bytes(5000)])
def test_what_is_no_volume_is_removed_with_the_reason(content: bytes, server: Server) -> None:
    upload = begin(server, len(content)).json()["id"]
    assert send(server, upload, 0, content[:3]).status_code == 200
    answer = send(server, upload, 3, content[3:])
    assert answer.status_code == 422 and answer.json()["detail"] and "/" not in answer.json()["detail"]
    assert server.get(f"/uploads/{upload}").status_code == 404
    assert not (server.studies / ".semgan" / "uploads" / upload).exists()


def test_more_bytes_than_announced_are_not_taken(server: Server, scan: bytes) -> None:
    upload = begin(server, 1000, ".nii.gz").json()["id"]
    answer = send(server, upload, 0, scan[:1001])
    assert answer.status_code == 413 and "1000 that were announced" in answer.json()["detail"]
    assert received(server, upload) <= 1000
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_a_finished_upload_takes_no_more_but_its_end_may_be_asked_for_again(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan)).json()["id"]
    first = send(server, upload, 0, scan).json()
    assert send(server, upload, len(scan), b"").json() == first
    assert server.get(f"/uploads/{upload}").json() == first
    for offset, content in ((0, scan), (len(scan), b"x")):
        answer = send(server, upload, offset, content)
        assert answer.status_code == 409 and "whole" in answer.json()["detail"]
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204


def test_an_upload_that_is_removed_while_it_comes_is_gone(server: Server, scan: bytes) -> None:
    upload = begin(server, len(scan)).json()["id"]
    with half_sent(server, upload, 0, len(scan), scan[:100]) as connection:
        assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204
        connection.sendall(scan[100:])
        assert b"404" in connection.recv(1000)
    assert not (server.studies / ".semgan" / "uploads" / upload).exists()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"suffix": ".exe", "bytes": 10}, 422),
        ({"suffix": ".nii"}, 422),
        ({"bytes": 10}, 422),
        ({"suffix": ".nii", "bytes": 0}, 422),
        ({"suffix": ".nii", "bytes": -1}, 422),
        ({"suffix": ".nii", "bytes": "many"}, 422),
        ({"suffix": ".nii", "bytes": 10**30}, 422),
        ({"suffix": ".nii", "bytes": 4_000_001}, 413),
    ],
)
def test_announcements_that_make_no_sense_are_refused(query: dict[str, Any], status: int, server: Server) -> None:
    before = set((server.studies / ".semgan" / "uploads").iterdir())
    answer = server.ask("POST", "/uploads/parts", params=query)
    assert answer.status_code == status and isinstance(answer.json()["detail"], str)
    assert set((server.studies / ".semgan" / "uploads").iterdir()) == before


@pytest.mark.parametrize("client", ["short", "x" * 65, "a b c d e f", "umlaut-ä-ö"])
def test_a_client_id_that_is_none_is_refused_in_words(client: str, server: Server) -> None:
    answer = begin(server, 1000, ".nii", {"X-SemGAN-Client": client.encode()})  # type: ignore[dict-item]
    assert answer.status_code == 422 and "X-SemGAN-Client" in answer.json()["detail"]


def test_parts_are_bytes_and_nothing_else(server: Server) -> None:
    upload = begin(server, 1000, ".nii").json()["id"]
    form = server.ask("PATCH", f"/uploads/{upload}", params={"offset": 0}, json={"x": 1})
    assert form.status_code == 415 and received(server, upload) == 0
    for query in ({}, {"offset": -1}, {"offset": "x"}):
        assert server.ask("PATCH", f"/uploads/{upload}", params=query, data=b"x", headers=BYTES).status_code == 422
    assert server.ask("DELETE", f"/uploads/{upload}").status_code == 204
