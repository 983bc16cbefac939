"""Every route and field, with what nobody should send: always a 4xx with a reason, and nothing is spoilt.

Routes and fields come from the server's own description, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

import requests
from urllib3 import encode_multipart_formdata

from monai_semgan.label_app.server.input_gate import FILE_ROUTES
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = pytest.mark.label
TIMEOUT = 120
KNOWN = {"image": "ct", "label": "ct", "model": "semgan_preview", "strategy": "random", "tag": "final", "method": "x"}
HIDDEN = [
    ("put", "/datastore/"),
    ("put", "/datastore/updatelabelinfo"),
    ("post", "/infer/wsi/{model}"),
    ("post", "/scoring/"),
    ("post", "/train/"),
    ("post", "/reload"),
    ("get", "/proxy/dicom/{path}"),
    ("get", "/ohif/{path}"),
]

HALF = "\ud800"
IN_ADDRESSES = {
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "far too long": "x" * 20_000,
}
"""Refused wherever they stand."""

ODD_IN_ADDRESSES = {
    "nothing": "",
    "NUL": "%00",
    "line break": "a%0Ab",
    "way out": "..%2F..%2Fetc%2Fpasswd",
    "not a number": "NaN",
    "no float": "1e999",
    "negative": "-1",
    "huge number": "9" * 400,
    "long": "x" * 5000,
    "emoji": "%F0%9F%98%80",
}
"""Refused where they make no sense, and never the server's fault."""

JSON_TEXTS = {
    "half a character": b'{"client_id": "\\ud800"}',
    "half a character in a key": b'{"\\udc00": {"a": 1}}',
    "half a character in bytes": b'{"client_id": "\xed\xa0\x80"}',
    "nested 300 deep": b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
    "nested 50,000 deep": b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "NaN": b'{"steps": NaN}',
    "Infinity": b'{"max_batch_size": Infinity}',
    "no float": b'{"steps": 1e999}',
    "a text of 500 KB": json.dumps({"client_id": "x" * 500_000}).encode(),
    "no JSON": b"{nope",
    "no object": b"[1, 2]",
}
"""Refused wherever JSON is read."""

WRONG_VALUES: dict[str, Any] = {
    "list": [1, {"a": None}],
    "object": {"a": [1]},
    "huge number": 10**300,
    "text": "../../etc/passwd",
}
FIELDS = re.findall(
    r"\w+",
    "client_id images label_tag labels max_batch_size steps model device image session_id upload mode region maps "
    "result_extension strategy method again semgan_scores reviewer verdict comment label_info user annotator",
)
"""Names that some route knows."""

HEADERS: dict[str, dict[str, str | bytes]] = {
    "client with half a character": {"X-SemGAN-Client": b"\xed\xa0\x80abcdefgh"},
    "long client": {"X-SemGAN-Client": "x" * 5000},
    "odd client": {"X-SemGAN-Client": "a b/c;d=../e"},
    "odd ETags": {"If-Match": b"\xff\"'", "If-None-Match": '"' * 500},
    "odd range": {"Range": "bytes=9999999999999999999-1,-,5"},
    "odd encoding": {"Content-Encoding": "gzip", "Accept": b"\xff\xfe", "Accept-Encoding": "nothing"},
}
KINDS = {
    "XML": ("text/xml", b"<a/>"),
    "form": ("application/x-www-form-urlencoded", b"params=%ED%A0%80&info={nope&label=x&file=x&files=x"),
    "form with endless fields": ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(5000))),
    "form without boundary": ("multipart/form-data", b"--x"),
    "damaged form": ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
    "form in an odd code": (
        "multipart/form-data; boundary=x; charset=unicode_escape",
        b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"a": "\\ud800"}\r\n--x--\r\n',
    ),
    "bytes": ("application/octet-stream", bytes(1000)),
    "nonsense": (";;;/", b"\xff\xfe"),
    "nothing": ("application/json", b""),
    "no kind": ("", b'{"a": 1}'),
}


@dataclass(frozen=True)
class Operation:
    """A route with what it takes."""

    method: str
    path: str
    query: tuple[str, ...]
    body: tuple[str, ...]

    def url(self, server: Server, **query: str) -> str:
        """The address, aimed at something that is there, unless that would remove it."""
        known = KNOWN if self.method != "DELETE" else {}
        path = re.sub(r"{(\w+)}", lambda found: query.get(found[1], known.get(found[1], "nobody")), self.path)
        given = {name: query.get(name, known.get(name)) for name in self.query}
        return f"{server.address}{path}?" + "&".join(f"{k}={v}" for k, v in given.items() if v is not None)

    @property
    def names(self) -> list[str]:
        """What stands in its address."""
        return [*re.findall(r"{(\w+)}", self.path), *self.query]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore with a CT and an MR."""
    return fill(tmp_path_factory.mktemp("bad") / "studies")


@pytest.fixture(scope="module")
def attacked(studies: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, which has to be as before in the end."""
    home = tmp_path_factory.mktemp("home")
    with start_semgan(studies, home / "first", "--bundle", tiny_bundle) as server:
        note = {"info": json.dumps({"note": "Grüße", "n": 1})}
        assert requests.put(f"{server.address}/datastore/image/info?image=ct", data=note, timeout=TIMEOUT).ok
        before = _known(server)
        yield server
        assert "Traceback" not in server.logged()
        deadline = time.monotonic() + 150  # a file that was put back is noticed after a while
        while not before.keys() <= (after := _known(server)).keys() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert {name: after.get(name) for name in before} == before
    with start_semgan(studies, home / "second", "--bundle", tiny_bundle) as again:
        assert _known(again) == after


@pytest.fixture(scope="module")
def operations(attacked: Server) -> list[Operation]:
    """Every route."""
    document = requests.get(f"{attacked.address}/openapi.json", timeout=TIMEOUT).json()
    found = []
    for path, methods in document["paths"].items():
        for method, facts in methods.items():
            places = [one["name"] for one in facts.get("parameters", []) if one["in"] == "query"]
            found.append(Operation(method.upper(), path, tuple(places), tuple(_fields(facts, document))))
    found += [Operation(method.upper(), path, ("image", "label", "tag"), ()) for method, path in HIDDEN]
    assert len(found) > 50
    return found


def _known(server: Server) -> dict[str, Any]:
    """What is noted of every image."""
    listed = requests.get(f"{server.address}/datastore/?output=all", timeout=TIMEOUT)
    objects = listed.json()["objects"]
    return {name: {key: facts["image"]["info"].get(key) for key in ("note", "n")} for name, facts in objects.items()}


def _fields(facts: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """Kinds of content, and the fields of a form."""
    for kind, content in facts.get("requestBody", {}).get("content", {}).items():
        yield kind
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        yield from schema.get("properties", {})


def send(operation: Operation, url: str, refused: bool = False, **options: Any) -> None:
    """Send it, and look at the answer."""
    answer = requests.request(operation.method, url, timeout=TIMEOUT, allow_redirects=False, **options)
    shown = f"{operation.method} {url[:300]} {str(options)[:300]} -> {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500, shown
    assert not refused or answer.status_code >= 400, shown
    if answer.status_code >= 400 and operation.method != "HEAD":
        detail = answer.json()["detail"]
        assert isinstance(detail, str) and detail and len(detail) < 1000 and "Traceback" not in detail, shown


def every(operations: list[Operation], matching: Callable[[Operation], bool] = lambda _: True) -> list[Operation]:
    """Those that are meant; at least some."""
    found = [one for one in operations if matching(one)]
    assert found
    return found


@pytest.mark.parametrize("bad", IN_ADDRESSES)
def test_addresses_that_are_no_text_are_refused(bad: str, operations: list[Operation], attacked: Server) -> None:
    for operation in every(operations, lambda one: bool(one.names)):
        for name in operation.names:
            send(operation, operation.url(attacked, **{name: IN_ADDRESSES[bad]}), refused=True)


@pytest.mark.parametrize("odd", ODD_IN_ADDRESSES)
def test_odd_values_in_addresses_are_nobodys_fault(odd: str, operations: list[Operation], attacked: Server) -> None:
    for operation in every(operations, lambda one: bool(one.names)):
        for name in operation.names:
            send(operation, operation.url(attacked, **{name: ODD_IN_ADDRESSES[odd]}))


@pytest.mark.parametrize("bad", JSON_TEXTS)
def test_json_that_cannot_be_stored_is_refused(bad: str, operations: list[Operation], attacked: Server) -> None:
    headers = {"Content-Type": "application/json"}
    for operation in every(operations, lambda one: "application/json" in one.body):
        send(operation, operation.url(attacked), refused=True, data=JSON_TEXTS[bad], headers=headers)


@pytest.mark.parametrize("bad", [bad for bad in JSON_TEXTS if "bytes" not in bad])  # forms may be in Latin-1
def test_fields_of_forms_with_such_json_are_refused(bad: str, operations: list[Operation], attacked: Server) -> None:
    scan = ("a.nii.gz", (attacked.studies / "mr.nii.gz").read_bytes())
    for operation in every(operations, lambda one: bool({"params", "info"} & set(one.body))):
        for name in {"params", "info"} & set(operation.body):
            files = {other: scan for other in ("file", "label") if other in operation.body}
            if operation.path.startswith("/infer"):
                files = {}
            body, kind = encode_multipart_formdata({name: JSON_TEXTS[bad], **files})
            url = operation.url(attacked, **({"image": "unheard"} if operation.path == "/datastore/image" else {}))
            send(operation, url, refused=True, data=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("wrong", WRONG_VALUES)
@pytest.mark.parametrize("field", FIELDS)
def test_values_of_the_wrong_kind_are_nobodys_fault(
    field: str, wrong: str, operations: list[Operation], attacked: Server
) -> None:
    content = {field: WRONG_VALUES[wrong]}
    for operation in every(operations, lambda one: "application/json" in one.body):
        send(operation, operation.url(attacked), json=content)
    for operation in every(operations, lambda one: bool({"params", "info"} & set(one.body))):
        name = "params" if "params" in operation.body else "info"
        url = operation.url(attacked, **({} if operation.path.startswith("/infer") else {"image": "nobody"}))
        body, kind = encode_multipart_formdata({name: json.dumps(content)})
        send(operation, url, data=body, headers={"Content-Type": kind})
    requests.delete(f"{attacked.address}/batch/infer", timeout=TIMEOUT)
    requests.delete(f"{attacked.address}/scoring/", timeout=TIMEOUT)


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_content_is_refused_in_words(kind: str, operations: list[Operation], attacked: Server) -> None:
    media, body = KINDS[kind]
    for operation in every(operations):
        send(operation, operation.url(attacked), data=body, headers={"Content-Type": media} if media else {})


@pytest.mark.parametrize("odd", HEADERS)
def test_odd_headers_are_nobodys_fault(odd: str, operations: list[Operation], attacked: Server) -> None:
    for operation in every(operations, lambda one: not one.path.startswith("/batch")):
        send(operation, operation.url(attacked), headers=HEADERS[odd])


NAMES = {
    "half a character": b"\xed\xa0\x80.nii.gz",
    "way out": b"../../../escaped.nii.gz",
    "long": b"x" * 5000 + b".nii.gz",
    "long, of wide characters": "\U0001f600".encode() * 90 + b".nii.gz",
    "line break": b"a%0Ab.nii.gz",
    "nothing": b"",
    "no ending": b"scan",
    "only an ending": b".nii.gz",
    "record of sessions": b"meta.info",
    "another kind": b"scan.exe",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", ["a scan", "garbage", "nothing"])
def test_odd_names_of_files_are_nobodys_fault(
    name: str, content: str, operations: list[Operation], attacked: Server
) -> None:
    scan = {"a scan": (attacked.studies / "mr.nii.gz").read_bytes(), "garbage": b"garbage", "nothing": b""}[content]
    for operation in every(operations, lambda one: bool({"file", "files", "label"} & set(one.body))):
        field = next(one for one in ("file", "files", "label") if one in operation.body)
        head = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n' % (
            field.encode(),
            NAMES[name],
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        url = operation.url(attacked, tag="odd").replace("image=ct", "image=mr" if field == "label" else "image=odd")
        send(operation, url, data=head + scan + b"\r\n--x--\r\n", headers=headers)
    assert not list(attacked.studies.parent.glob("escaped*"))


def test_texts_of_40_mb_are_refused_and_cost_no_memory(operations: list[Operation], attacked: Server) -> None:
    import psutil

    process = psutil.Process(attacked.process.pid)
    before = process.memory_info().rss
    text = json.dumps({"client_id": "x" * (40 << 20)})
    for operation in every(operations, lambda one: bool(one.body) and "application/octet-stream" not in one.body):
        url = operation.url(attacked)
        if "application/json" in operation.body:
            send(operation, url, refused=True, data=text, headers={"Content-Type": "application/json"})
        else:
            name = next(iter({"params", "info"} & set(operation.body)), "params")
            body, kind = encode_multipart_formdata({name: text})
            send(operation, url, refused=True, data=body, headers={"Content-Type": kind})
    assert process.memory_info().rss < before + (200 << 20)


def test_what_brings_files_is_known_to_the_gate(operations: list[Operation]) -> None:
    files = {"file", "files", "label", "application/octet-stream"}
    for operation in every(operations, lambda one: one.path not in [path for _, path in HIDDEN]):
        brings = bool(files & set(operation.body)) and "application/json" not in operation.body
        path = re.sub(r"{\w+}", "x", operation.path)
        assert (FILE_ROUTES.fullmatch(f"{operation.method} {path}") is not None) == brings, operation


@contextlib.contextmanager
def _without(path: Path) -> Iterator[None]:
    """A file that has gone and comes back."""
    aside = path.with_name(".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def test_a_file_that_has_gone_or_is_damaged_is_told(operations: list[Operation], attacked: Server) -> None:
    scan = attacked.studies / "mr.nii.gz"
    content = scan.read_bytes()
    asked = every(operations, lambda one: "image" in one.names and one.method in ("GET", "HEAD", "POST"))
    with _without(scan):
        for operation in asked:
            send(operation, operation.url(attacked, image="mr"))
    for damage in (content[: len(content) // 2], b"", b"\x1f\x8b" + bytes(100)):
        scan.write_bytes(damage)
        for operation in asked:
            send(operation, operation.url(attacked, image="mr"))
    scan.write_bytes(content)
