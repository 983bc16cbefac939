"""Strokes that come faster than answers: in order, none lost, the newest state wins."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Serve, Server
from tests.jobs.reader import Reader, stroke

pytestmark = pytest.mark.label

MakeStudies = Callable[[], Path]


@pytest.fixture(scope="module")
def busy(serve: Serve, make_studies: MakeStudies) -> Server:
    """A server whose only worker can be stopped for a while."""
    return serve(make_studies())


@pytest.fixture
def reader(busy: Server) -> Reader:
    """Somebody who looks at a finished preview."""
    return Reader.of(busy)


@contextmanager
def worker_stopped(server: Server) -> Iterator[None]:
    """Within the block, the worker does nothing."""
    import psutil

    (worker,) = server.workers()
    worker.suspend()
    while worker.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            worker.resume()


@contextmanager
def strokes_held_back(server: Server, job: str) -> Iterator[None]:
    """Within the block, a worker that wants to read the strokes of a correction waits."""
    path = server.folder(job) / "strokes.json"
    kept = path.rename(path.with_name("kept.json"))
    os.mkfifo(path)
    yield
    with path.open("wb") as waiting:  # opened when the worker wants to read
        content = kept.read_bytes()
        kept.replace(path)
        waiting.write(content)


def states(reader: Reader) -> list[str]:
    """Of the corrections."""
    return [step["state"] for step in reader.history()["steps"]]


def test_corrections_that_wait_are_computed_together_and_undone_and_done_again_together(reader: Reader) -> None:
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2), reach_mm=0.0) for row in (3, 4, 5)]
        assert states(reader) == ["warming", "queued", "queued"] and reader.history()["current"] == 0
    for job in jobs:
        assert reader.server.done(job)["result_version"] > 0
    first, second, third = (reader.server.job(job) for job in jobs)
    assert (first["joined"], second["joined"], third["joined"]) == (None, jobs[2], None)
    assert second["message"] == "done; computed together with correction 3"
    assert [reader.server.get(f"/jobs/{job}/result").json()["job"] for job in jobs] == jobs
    pages = [reader.server.get(f"/jobs/{job}/result/report").text for job in jobs]
    assert pages[1] == pages[2] and ["with 1 stroke;" in pages[0], "with 3 strokes;" in pages[2]] == [True, True]
    labels = [reader.label(job) for job in jobs]
    assert all((labels[2][3:6, row, 2] == 2).all() for row in (3, 4, 5)) and (labels[1] == labels[2]).all()
    assert [reader.go_to(number)["current"] for number in (2, 0, 1, 2)] == [1, 0, 1, 3]
    assert (reader.current() == labels[2]).all()


def test_corrections_with_another_reach_are_computed_by_themselves(reader: Reader) -> None:
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2), reach_mm=reach) for row, reach in ((3, 0.0), (4, 0.0), (5, 30.0))]
    for job in jobs:
        reader.server.done(job)
    assert [step["joined"] for step in reader.history()["steps"]] == [None, None, None]
    assert all((reader.current()[3:6, row, 2] == 2).all() for row in (3, 4, 5))


def test_undo_cancels_what_has_not_ended_and_the_label_stays(reader: Reader) -> None:
    before = reader.label()
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2)) for row in (3, 4, 5)]
        assert reader.go_to(0)["current"] == 0
    assert [reader.server.wait(job)["state"] for job in jobs] == ["cancelled"] * 3
    assert reader.history()["current"] == 0 and (reader.current() == before).all()
    reader.corrected(stroke(reader, 6, 2))
    assert [step["number"] for step in reader.history()["steps"]] == [4]


def test_a_state_that_is_being_computed_cannot_be_gone_to(reader: Reader) -> None:
    with worker_stopped(reader.server):
        job = reader.asked(stroke(reader, 3, 2))
        path = f"/jobs/{reader.root}/corrections/current"
        early = reader.server.ask("POST", path, json={"number": 1})
    assert early.status_code == 409 and "not done yet" in early.json()["detail"]
    reader.server.done(job)


def test_one_that_waits_can_be_cancelled_alone(reader: Reader) -> None:
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2), reach_mm=0.0) for row in (3, 4, 5)]
        reader.server.ask("POST", f"/jobs/{jobs[1]}/cancel")
    assert [reader.server.wait(job)["state"] for job in jobs] == ["done", "cancelled", "done"]
    label = reader.current()
    assert (label[3:6, 3, 2] == 2).all() and (label[3:6, 5, 2] == 2).all()
    assert (label[3:6, 4, 2] == reader.label()[3:6, 4, 2]).all()


@pytest.mark.parametrize("gone", [1, 2])
def test_one_of_those_that_are_being_computed_together_is_cancelled_alone(reader: Reader, gone: int) -> None:
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2), reach_mm=0.0) for row in (3, 4, 5)]
        held_back = strokes_held_back(reader.server, jobs[1])
        held_back.__enter__()
    reader.server.wait(jobs[1], lambda job: job["state"] == "running" and job["joined"] == jobs[2])
    assert reader.server.ask("POST", f"/jobs/{jobs[gone]}/cancel").status_code == 200
    held_back.__exit__(None, None, None)
    assert [reader.server.wait(job)["state"] for job in jobs] == [
        "cancelled" if number == gone else "done" for number in range(3)
    ]
    assert reader.server.get(f"/jobs/{jobs[gone]}/result").status_code == 409
    label, before = reader.current(), reader.label()
    for number, row in enumerate((3, 4, 5)):
        drawn = label[3:6, row, 2]
        assert (drawn == before[3:6, row, 2]).all() if number == gone else (drawn == 2).all()
    assert reader.history()["current"] == (3 if gone == 1 else 2)
    reader.corrected(stroke(reader, 6, 2), reach_mm=0.0)
    assert (reader.current()[3:6, 3 + gone, 2] == before[3:6, 3 + gone, 2]).all()


def test_strokes_that_a_label_does_not_show_yet_are_followed_on_it_once_more(reader: Reader) -> None:
    edited = reader.label()
    edited[:, :, -1] = 1
    label = reader.upload(edited)
    with worker_stopped(reader.server):
        first = reader.asked(stroke(reader, 3, 2), reach_mm=0.0)
        second = reader.asked(stroke(reader, 4, 2), reach_mm=0.0, label=label)
    for job in (first, second):
        reader.server.done(job)
    current = reader.current()
    assert all((current[3:6, row, 2] == 2).all() for row in (3, 4)) and (current[:, :, -1] == 1).all()


def test_strokes_that_a_label_shows_are_not_followed_again(reader: Reader) -> None:
    first = reader.corrected(stroke(reader, 3, 2), reach_mm=0.0)
    erased = reader.label(first["id"])
    erased[3:6, 3, 2] = 1
    later = reader.corrected(stroke(reader, 4, 2), reach_mm=0.0, label=reader.upload(erased), label_of=1)
    assert (reader.label(later["id"])[3:6, 3, 2] == 1).all()
    older = reader.corrected(stroke(reader, 5, 2), reach_mm=0.0, label=reader.upload(erased), label_of=0)
    assert (reader.label(older["id"])[3:6, 3, 2] == 2).all()


def test_a_label_shows_no_correction_that_never_was(reader: Reader) -> None:
    early = reader.ask(stroke(reader, 3, 2), reach_mm=0.0, label_of=1)
    assert early.status_code == 422 and "correction 1, and there is none yet" in early.json()["detail"]
    reader.corrected(stroke(reader, 3, 2), reach_mm=0.0)
    late = reader.ask(stroke(reader, 4, 2), reach_mm=0.0, label=reader.upload(reader.label()), label_of=2)
    assert late.status_code == 422 and "the newest has the number 1" in late.json()["detail"]
    assert [step["number"] for step in reader.history()["steps"]] == [1]


def test_removing_a_job_takes_corrections_along_that_have_not_ended(reader: Reader) -> None:
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, row, 2)) for row in (3, 4)]
        assert reader.server.ask("DELETE", f"/jobs/{reader.root}").status_code == 204
        assert [reader.server.get(f"/jobs/{job}").status_code for job in jobs] == [404, 404]
    other = Reader.of(reader.server)
    other.corrected(stroke(other, 3, 2))
    assert not any(reader.server.folder(job).exists() for job in (reader.root, *jobs))


def test_jobs_of_others_do_not_wait_for_corrections_of_one(reader: Reader) -> None:
    other = Reader.of(reader.server)
    with worker_stopped(reader.server):
        jobs = [reader.asked(stroke(reader, 3, 2)), reader.asked(stroke(reader, 4, 2))]
        waits = other.asked(stroke(other, 3, 2))
        seen: dict[str, Any] = reader.server.job(waits)
        assert seen["state"] == "queued" and seen["position"] is not None
    for job in (*jobs, waits):
        reader.server.done(job)
