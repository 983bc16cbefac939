"""Whose a job is, and who may end it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.job_entries import Entry, Origin
from monai_semgan.jobs.job_errors import Forbidden
from monai_semgan.jobs.ownership import NOBODY, SERVER, Asker
from tests.jobs.conftest import Serve, Server

pytestmark = pytest.mark.label

ANNA, BERT = {"X-SemGAN-Client": "anna-0001"}, {"X-SemGAN-Client": "bert-0002"}
NO_ONE: dict[str, str] = {}


def submit(server: Server, headers: dict[str, str], **request: Any) -> str:
    response = server.ask("POST", "/jobs", json={"image": "ct", **request}, headers=headers)
    assert response.status_code == 201, response.text
    assert response.json()["mine"] is (True if headers else None)
    return str(response.json()["id"])


def mine(server: Server, job: str, headers: dict[str, str]) -> Any:
    one = server.get(f"/jobs/{job}", headers=headers).json()["mine"]
    (listed,) = [j["mine"] for j in server.get("/jobs", headers=headers).json()["jobs"] if j["id"] == job]
    assert one == listed
    return one


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_a_job_is_seen_by_all_and_ended_by_its_owner(state: str, server: Server) -> None:
    blocker = server.running() if state == "queued" else None
    steps = 2 if state == "done" else 10_000
    job = submit(server, ANNA, mode="invert", steps=steps)
    server.wait(job, lambda found: found["state"] == state)
    assert [mine(server, job, who) for who in (ANNA, BERT, NO_ONE)] == [True, False, False]
    for who in (BERT, NO_ONE):
        for method, path in (("POST", f"/jobs/{job}/cancel"), ("DELETE", f"/jobs/{job}")):
            refused = server.ask(method, path, headers=who)
            assert refused.status_code == 403 and "somebody else" in refused.json()["detail"]
    assert server.job(job)["state"] == state
    if state != "done":
        cancelled = server.ask("POST", f"/jobs/{job}/cancel", headers=ANNA)
        assert cancelled.status_code == 200 and cancelled.json()["mine"] is True
    assert server.ask("DELETE", f"/jobs/{job}", headers=ANNA).status_code == 204
    if blocker is not None:
        server.ask("DELETE", f"/jobs/{blocker}", headers=BERT)  # nobody's, so anybody's


def test_whose_a_job_is_outlives_a_restart_and_is_never_told(serve: Serve, make_studies: Callable[[], Path]) -> None:
    studies = make_studies()
    server = serve(studies)
    job = submit(server, ANNA)
    server.done(job)
    server.process.terminate()
    server.process.wait(30)
    kept = b"".join(path.read_bytes() for path in server.folder(job).rglob("*.json"))
    assert b"anna" not in kept
    again = serve(studies)
    answers = [again.get("/jobs", headers=who).text for who in (ANNA, BERT)] + [again.get(f"/jobs/{job}").text]
    assert not any("anna" in text or "owner" in text for text in answers)
    assert again.ask("DELETE", f"/jobs/{job}", headers=BERT).status_code == 403
    assert [mine(again, job, who) for who in (ANNA, BERT)] == [True, False]
    assert again.ask("DELETE", f"/jobs/{job}", headers=ANNA).status_code == 204


@pytest.mark.parametrize(
    "sent", ["short", "x" * 65, "with blank", "umläut-0001".encode(), "a/../../b", "a" * 8 + "\x7f"]
)
def test_an_id_that_is_none_is_refused_in_words(sent: Any, server: Server) -> None:
    for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("DELETE", f"/jobs/{'0' * 32}")):
        response = server.ask(method, path, headers={"X-SemGAN-Client": sent}, json={"image": "ct"})
        assert response.status_code == 422 and "X-SemGAN-Client" in response.json()["detail"]


@pytest.mark.parametrize(
    ("owner", "asker", "allowed"),
    [
        (None, NOBODY, True),
        (None, Asker.named("user:anna"), True),
        ("user:anna", Asker.named("user:anna"), True),
        ("user:anna", Asker.named("client:anna"), False),
        ("user:anna", Asker.named("user:bert"), False),
        ("user:anna", Asker.named("user:bert", may_all=True), True),
        ("user:anna", NOBODY, False),
        ("user:anna", SERVER, True),
    ],
)
def test_ones_own_jobs_and_nobodys_may_be_ended_by_administrators_all(
    owner: str | None, asker: Asker, allowed: bool
) -> None:
    job = Job(id="0" * 32, state=State.queued, request=JobRequest(image="ct"), created=1.0)
    entry = Entry(job, Origin(owner=Asker.named(owner).owner))
    if allowed:
        asker.check_may_end(entry)
    else:
        with pytest.raises(Forbidden):
            asker.check_may_end(entry)


def test_the_description_of_the_api_tells_that_others_jobs_stay(server: Server) -> None:
    from monai_semgan.jobs.api.openapi import document

    paths = document()["paths"]
    assert all(
        "403" in paths["/semgan/jobs/{job}" + end][how]["responses"]
        for end, how in (("", "delete"), ("/cancel", "post"))
    )
    assert "owner" not in json.dumps(document()["components"]["schemas"]["Job"])
