"""The client asks as the server's document says, understands its answers, and says what to do where it cannot."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from SemGANLib.Server import Errors
from SemGANLib.Server.Address import read_address
from SemGANLib.Server.Client import Client, ending
from SemGANLib.Server.Nrrd import Grid, decode, encode
from SemGANLib.Server.Parsing import parse
from SemGANLib.Types import CorrectionTypes, DatastoreTypes, JobTypes, ModelTypes, ResultTypes, ServerTypes
from SemGANLib.Types.JobTypes import JobRequest

from tests.slicer_extension.contract import document, sample, schema_errors

ARRAY = np.full((4, 5, 6), 110, dtype=np.int16)
SCAN = encode(Grid(ARRAY, np.diag([2.0, 2.0, 3.0, 1.0])))

SCHEMAS = {
    ModelTypes.Code: "Code",
    ModelTypes.Label: "Label",
    ModelTypes.Mode: "ModeInfo",
    ModelTypes.Model: "ModelInfo",
    ServerTypes.Worker: "Worker",
    ServerTypes.Health: "Health",
    JobTypes.Job: "Job",
    ResultTypes.Domain: "Domain",
    ModelTypes.ModelId: "ModelId",
    ResultTypes.Result: "Result",
    JobTypes.Upload: "Upload",
    JobTypes.UploadProgress: "UploadProgress",
    ResultTypes.Finding: "Finding",
    JobTypes.JobRequest: "JobRequest",
    CorrectionTypes.CorrectionStep: "CorrectionStep",
    CorrectionTypes.CorrectionList: "CorrectionHistory",
}


def finished(client: Client, **request: Any) -> JobTypes.Job:
    """Run a job to its end."""
    upload = client.upload(SCAN)
    job = client.submit(JobRequest(upload=upload.id, **request))
    while not job.ended:
        job = client.job(job.id)
    return job


@pytest.mark.parametrize("kind", SCHEMAS, ids=lambda kind: kind.__name__)
def test_every_field_that_is_read_stands_in_the_document(kind):  # type: ignore[no-untyped-def]
    schema = document()["components"]["schemas"][SCHEMAS[kind]]
    needed = set()
    for item in dataclasses.fields(kind):
        assert item.name in schema["properties"], f"{SCHEMAS[kind]} has no {item.name}"
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            needed.add(item.name)
    assert needed <= set(schema.get("required", [])), "a field that may be missing has no default here"


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in SCHEMAS if kind is not JobTypes.JobRequest])
def test_the_smallest_and_the_fullest_answer_are_understood(kind, full):  # type: ignore[no-untyped-def]
    content = sample({"$ref": f"#/components/schemas/{SCHEMAS[kind]}"}, full)
    assert not schema_errors({"$ref": f"#/components/schemas/{SCHEMAS[kind]}"}, content)
    value = parse(kind, {**content, "added_in_a_later_version": 1})
    for item in dataclasses.fields(kind):
        if item.name in content and isinstance(content[item.name], (str, int, float)):
            assert getattr(value, item.name) == content[item.name]


def test_a_correction_is_asked_for_as_the_document_says():
    stroke = CorrectionTypes.StrokeInput("liver", ((3, 2), (9, 1)), False, "lasso")
    affine = ((2.0, 0.0, 0.0, 1.0), (0.0, 2.0, 0.0, 1.0), (0.0, 0.0, 3.0, 1.0), (0.0, 0.0, 0.0, 1.0))
    for label in (None, "ab" * 16):
        request = CorrectionTypes.CorrectionRequest((stroke,), (6, 5, 4), affine, 0.0, ("spleen",), label)
        content = _through_json(request.to_json())
        assert not schema_errors({"$ref": "#/components/schemas/CorrectionRequest"}, content)
        assert ("label" in content) is (label is not None)


def test_the_states_and_parts_that_the_library_knows_are_those_of_the_document():
    schemas = document()["components"]["schemas"]
    assert set(JobTypes.ENDED) < set(schemas["State"]["enum"])
    assert set(schemas["State"]["enum"]) - set(JobTypes.ENDED) == {"queued", "warming", "running", "paused"}
    assert {*ResultTypes.MAPS, "label", "report"} == set(schemas["Part"]["enum"])


@pytest.mark.parametrize(
    "request_",
    [
        JobRequest(upload="0" * 32),
        JobRequest(image="case_1", mode="refine", model="semgan_abdomen", modality="MR", steps=7),
        JobRequest(upload="0" * 32, slice_range_mm=(-10.0, 12.5), labels=("liver", "spleen"), mode="invert"),
    ],
)
def test_every_request_of_a_job_fits_the_document(request_):  # type: ignore[no-untyped-def]
    assert not schema_errors({"$ref": "#/components/schemas/JobRequest"}, _through_json(request_.to_json()))


def _through_json(content: Any) -> Any:
    import json

    return json.loads(json.dumps(content))


def test_a_scan_is_sent_segmented_and_fetched(server):  # type: ignore[no-untyped-def]
    client = Client(server.address)
    assert client.health().ready
    assert client.models()[0].labels[1].side == ModelTypes.Code("SCT", "24028007", "Right")
    job = finished(client, mode="refine", labels=("liver",))
    result = client.result(job.id)
    assert not result.partial and result.labels[0].colour == (221, 130, 101)
    label = decode(client.part(job.id, "label"))
    np.testing.assert_array_equal(label.array, (ARRAY == 110).astype(np.uint8))
    assert b"Research" in client.report(job.id)
    assert client.jobs()[0].id == job.id
    client.delete_job(job.id)
    client.delete_upload(next(iter(server.uploads)))
    assert not server.jobs and not server.uploads


def test_a_job_is_cancelled(server):  # type: ignore[no-untyped-def]
    client = Client(server.address)
    job = client.submit(JobRequest(upload=client.upload(SCAN).id, mode="refine"))
    assert client.cancel(job.id).state == "cancelled"


def test_images_and_labels_of_the_datastore(server):  # type: ignore[no-untyped-def]
    client = Client(server.address)
    name = client.add_image("ct_1", SCAN)
    assert name == "ct_1" and server.images["ct_1"] == (".nrrd", SCAN)
    assert client.image("ct_1") == (SCAN, ".nrrd")
    final = DatastoreTypes.LabelState("final")
    saved = client.save_label("ct_1", b"voxels\r\n--", final, {"user": "Dr. Ä", "edited": True})
    assert saved == DatastoreTypes.SavedLabel(), "this server keeps no versions, and has no archive"
    assert server.labels["ct_1", "final"] == ({"user": "Dr. Ä", "edited": True}, b"voxels\r\n--")
    assert client.images() == (DatastoreTypes.StoredImage("ct_1", ("final",)),)
    server.next_id = "ct_1"
    assert client.next_sample("random") == "ct_1"
    server.next_id = ""
    assert client.next_sample("random") is None


def test_the_ending_of_a_downloaded_image_is_that_of_its_name():
    assert ending('attachment; filename="a.b.nii.gz"') == ".nii.gz"
    assert ending("attachment; filename*=utf-8''b%C3%A4r.NRRD") == ".nrrd"
    assert ending("") == ".nii.gz"


# errors


def test_nobody_listens():
    with pytest.raises(Errors.NoServer, match="semgan serve"), socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, and nobody listens
        Client(f"127.0.0.1:{deaf.getsockname()[1]}").health()


@pytest.mark.parametrize(
    "typed", ["", "http://", "ftp://host", "host:port", "host:99999", "two words", "http://user:pw@host", "a?b=c"]
)
def test_what_is_no_address_is_said_at_once(typed):  # type: ignore[no-untyped-def]
    with pytest.raises(Errors.WrongAddress, match="looks like this"):
        Client(typed)


def test_addresses_may_be_typed_short():
    assert str(read_address(" localhost ")) == "http://localhost:8000"
    assert str(read_address("host:81")) == "http://host:81"
    assert str(read_address("https://host/semgan/")) == "https://host:443/semgan"
    assert str(read_address("http://[::1]:8000")) == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("typed", "local"),
    [("localhost", True), ("127.0.0.1:9", True), ("http://[::1]", True), ("10.0.0.4", False), ("radiology", False)],
)
def test_only_loopback_is_this_computer(typed, local):  # type: ignore[no-untyped-def]
    assert read_address(typed).local is local


def test_another_kind_of_server(server):  # type: ignore[no-untyped-def]
    server.check = False
    server.health = {"product": "something else"}
    with pytest.raises(Errors.OtherServer, match="not a SemGAN server"):
        Client(server.address).health()
    server.status = 404
    with pytest.raises(Errors.OtherServer, match="not a SemGAN server"):
        Client(server.address).health()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"])
def test_a_server_that_does_not_speak_our_language(answer):  # type: ignore[no-untyped-def]
    with speaking(answer) as address, pytest.raises(Errors.OtherServer, match="not a SemGAN server"):
        Client(address).health()


def test_https_where_there_is_none(server):  # type: ignore[no-untyped-def]
    with pytest.raises(Errors.OtherServer):
        Client(f"https://127.0.0.1:{server.port}").health()


def test_redirects_are_not_followed():
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    with speaking(answer) as address, pytest.raises(Errors.WrongAddress, match="http://elsewhere/"):
        Client(address, "secret").health()


def test_a_wrong_key(server):  # type: ignore[no-untyped-def]
    server.key = "right"
    with pytest.raises(Errors.WrongKey, match="key"):
        Client(server.address, "wrong").health()
    assert Client(server.address, "right").health().ready


@pytest.mark.parametrize(("api", "advice"), [("0.9", "Update the server"), ("2.0", "Update the SemGAN extension")])
def test_an_older_and_a_newer_server(server, api, advice):  # type: ignore[no-untyped-def]
    server.health = {"api": api}
    with pytest.raises(Errors.WrongVersion, match=advice):
        Client(server.address).health()


def test_a_server_of_a_later_version_with_more_to_say(server):  # type: ignore[no-untyped-def]
    server.check = False
    server.health = {"api": "1.7", "mood": "good"}
    assert Client(server.address).health().api == "1.7"


def test_no_answer_in_time(server):  # type: ignore[no-untyped-def]
    server.deaf = 1.0
    with pytest.raises(Errors.TimedOut, match="0 s"):
        Client(server.address, seconds=0.2).health()


def test_the_connection_breaks(server):  # type: ignore[no-untyped-def]
    server.drop = 1
    client = Client(server.address)
    with pytest.raises(Errors.ConnectionLost, match="still runs"):
        client.health()
    assert client.health().ready


def test_an_answer_that_is_cut_off():
    with (
        speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}") as address,
        pytest.raises(Errors.ConnectionLost, match="broke"),
    ):
        Client(address).health()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, Errors.Gone), (409, Errors.Refused), (422, Errors.Refused), (429, Errors.Busy), (503, Errors.Busy)]
    + [
        (500, Errors.ServerFault),
        (507, Errors.ServerFault),
        (413, Errors.Refused),
        (403, Errors.Forbidden),
        (401, Errors.WrongKey),
    ],
)
def test_refusals_carry_the_servers_words(status, kind):  # type: ignore[no-untyped-def]
    body = b'{"detail": "the disk is full"}'
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with speaking(answer) as address, pytest.raises(kind) as caught:
        Client(address).jobs()
    assert status == 401 or "the disk is full" in str(caught.value)


def test_an_answer_without_a_needed_field_names_it():
    body = b'{"id": "0"}'
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with speaking(answer) as address, pytest.raises(Errors.WrongVersion, match="state"):
        Client(address).job("0")


def test_a_key_with_a_line_break_is_not_sent(server):  # type: ignore[no-untyped-def]
    for key in ("a\r\nX-Other: b", "schlüssel", "\x00"):
        with pytest.raises(Errors.WrongKey, match="cannot be one"):
            Client(server.address, key).health()
    assert not server.requests


def test_the_key_is_sent_in_its_header_only(server):  # type: ignore[no-untyped-def]
    Client(server.address, "secret").models()
    (_, path, headers, body) = server.requests[0]
    assert headers.pop("X-API-Key") == "secret"
    assert "secret" not in path + str(headers) + body.decode()


class speaking:
    """Something that answers every connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def __enter__(self) -> str:
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)
                time.sleep(0.05)
