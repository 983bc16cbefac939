"""What no route could handle is answered in front of all routes, with the reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the environment of the extra label")

import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.label_app.server import input_gate
from monai_semgan.label_app.server.json_input import read_json
from monai_semgan.label_app.storable import MAX_DEPTH
from tests.label_app.server.small_server import all_of, connected, running

pytestmark = pytest.mark.label
Address = tuple[str, int]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """A server that waits a second for more of a body, and takes 8 MB."""
    with running() as found:
        yield found


def ask(address: Address, method: str, path: str, **options: Any) -> requests.Response:
    """An answer."""
    return requests.request(method, f"http://{address[0]}:{address[1]}{path}", timeout=120, **options)


JSON = {"Content-Type": "application/json"}
WRONG_JSON = {
    "half a character": (b'{"a": "\\ud800"}', "half a character"),
    "half a character in a key": (b'{"\\udfff": 1}', "half a character"),
    "half a character, deep": (b'{"a": [{"b": "x\\ud83d"}]}', "half a character"),
    "half a character in bytes": (b'{"a": "\xed\xa0\x80"}', "half a character"),
    "bytes that are no UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "nested 300 deep": (b"[" * 300 + b"]" * 300, "deep"),
    "nested 100,000 deep": (b"[" * 100_000 + b"]" * 100_000, "deep"),
    "objects nested 300 deep": (b'{"a":' * 300 + b"1" + b"}" * 300, "deep"),
    "NaN": (b'{"a": NaN}', "not finite"),
    "Infinity": (b"[-Infinity]", "not finite"),
    "a number that no float holds": (b"[1e999]", "not finite"),
    "a number of thousands of digits": (b"[" + b"9" * 5000 + b"]", "JSON"),
    "a long text": (json.dumps({"a": "x" * 100_000}).encode(), "characters"),
    "a long key": (json.dumps({"x" * 100_000: 1}).encode(), "characters"),
    "no JSON": (b"{nope", "JSON"),
}


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"])
@pytest.mark.parametrize("wrong", WRONG_JSON)
def test_json_that_nobody_could_store_or_answer_is_refused(wrong: str, kind: str, address: Address) -> None:
    body, word = WRONG_JSON[wrong]
    answer = ask(address, "POST", "/echo", data=body, headers={"Content-Type": kind})
    assert answer.status_code == 422 and word in answer.json()["detail"]


def test_what_can_be_stored_goes_through_unchanged(address: Address) -> None:
    body = json.dumps({"a": [1, 2.5, None, True, "Grüße \U0001f600"], "b": {"c": [[[]]]}}).encode()
    answer = ask(address, "POST", "/echo?x=%F0%9F%98%80", data=body, headers=JSON)
    assert answer.json() == {"bytes": len(body), "query": {"x": "\U0001f600"}}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(values)
def test_json_is_read_as_it_is_or_refused_in_words(value: Any) -> None:
    try:
        found = read_json(json.dumps(value), "the body")
    except SemganError as error:
        assert str(error)
    else:
        assert json.loads(json.dumps(found, allow_nan=False).encode("utf-8")) == value


def test_the_deepest_json_that_is_taken_can_be_written_again() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(read_json(text, "it")) == text
    with pytest.raises(SemganError, match="deep"):
        read_json(f"[{text}]", "it")


@pytest.mark.parametrize("query", ["x=%ED%A0%80", "%FF=1", "x=%80"])
def test_a_query_that_is_no_utf_8_is_refused(query: str, address: Address) -> None:
    answer = ask(address, "POST", f"/echo?{query}")
    assert answer.status_code == 422 and "UTF-8" in answer.json()["detail"]
    path = query.replace("=", "/").replace("x/", "x")
    assert ask(address, "GET", f"/{path}").status_code == 422


def test_a_long_query_is_refused(address: Address) -> None:
    answer = ask(address, "POST", f"/echo?x={'y' * 20_000}")
    assert answer.status_code == 414 and "body" in answer.json()["detail"]


@pytest.mark.parametrize("told", [True, False], ids=["length told", "in chunks"])
@pytest.mark.parametrize(
    ("method", "path", "taken", "refused"),
    [("POST", "/echo", 2 << 20, (2 << 20) + 1), ("PUT", "/session/", 8 << 20, (8 << 20) + 1)],
    ids=["text", "files"],
)
def test_bodies_have_a_limit(method: str, path: str, taken: int, refused: int, told: bool, address: Address) -> None:
    def body(size: int) -> Any:
        return bytes(size) if told else (bytes(min(1 << 19, size - at)) for at in range(0, size, 1 << 19))

    assert ask(address, method, path, data=body(taken)).json()["bytes"] == taken
    answer = ask(address, method, path, data=body(refused))
    assert answer.status_code == 413 and "limit of" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/echo"), ("PUT", "/session/")])
def test_a_body_that_stops_coming_is_answered_and_given_up(method: str, path: str, address: Address) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode()
    answer = all_of(connected(address, head + bytes(5000)))
    assert answer.startswith(b"HTTP/1.1 408") and b"nothing more" in answer


def test_a_body_that_trickles_in_is_given_up_and_a_slow_one_is_not() -> None:
    size = 12 * 1500
    head = f"PUT /session/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n".encode()
    with running(patience_seconds=3.0) as address:
        slow = connected(address, head)
        for _ in range(12):
            slow.sendall(bytes(1500))
            time.sleep(0.4)
        assert b'"bytes":18000' in all_of(slow)
        trickling, answer = connected(address, head), b""
        trickling.setblocking(False)
        deadline = time.monotonic() + 60
        while not answer and time.monotonic() < deadline:
            try:
                trickling.sendall(b"x")
                answer = trickling.recv(1000)
            except BlockingIOError:
                time.sleep(0.2)
    assert answer.startswith(b"HTTP/1.1 408")


def test_only_so_many_files_are_on_their_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_gate, "RECEIVED_AT_ONCE", 3)
    head = b"PUT /session/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    with running(patience_seconds=30) as address:
        held = [connected(address, head) for _ in range(3)]
        while (answer := ask(address, "PUT", "/session/", data=b"x")).ok:
            time.sleep(0.05)  # until those have arrived
        assert answer.status_code == 503 and "on their way" in answer.json()["detail"]
        assert ask(address, "POST", "/echo", data=b"x").ok
        for one in held:
            one.close()
        deadline = time.monotonic() + 50
        while not ask(address, "PUT", "/session/", data=b"x").ok and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(address, "PUT", "/session/", data=b"x").ok


def test_strokes_of_a_lasso_across_many_slices_are_let_through(address: Address) -> None:
    body = json.dumps({"runs": [[7 * number, 3] for number in range(200_000)]}).encode()
    assert len(body) > input_gate.SMALL_BYTES
    found = ask(address, "POST", "/semgan/jobs/x/corrections", data=body, headers=JSON)
    assert found.status_code not in (413, 422)
    assert ask(address, "POST", "/semgan/jobs", data=body, headers=JSON).status_code == 413
