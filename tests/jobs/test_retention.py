"""What goes when: jobs, uploads, and what could not be removed at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.jobs import retention as module
from monai_semgan.jobs.contract import Job, JobRequest, State, Upload
from monai_semgan.jobs.retention import Retention
from monai_semgan.jobs.scheduler import Scheduler
from monai_semgan.jobs.storage import store as storing
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.jobs.storage.uploads import StoredUpload, UploadStore
from tests.jobs.conftest import Serve

pytestmark = pytest.mark.label

HOUR = 3600.0


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Shelf:
    """A store with its jobs and uploads, and what removes them."""

    def __init__(self, folder: Path) -> None:
        self.store, self.jobs = JobStore(folder), Scheduler()
        self.uploads = UploadStore(self.store.uploads, "python", 10**9, HOUR)
        parts = SimpleNamespace(abandoned=list, remove=None)
        reception: Any = SimpleNamespace(uploads=self.uploads, parts=parts, expire=lambda: None)
        dispatcher: Any = SimpleNamespace(scheduler=self.jobs, drop=self.drop)
        self.retention = Retention(self.store, dispatcher, reception, jobs_limit=500)

    def drop(self, entry: Any) -> None:
        self.jobs.forget(entry.job.id)
        self.store.remove(entry.job.id)

    def job(self, number: int, upload: str | None = None, expires: float | None = None) -> Job:
        """A job; one that has ended if its time is told."""
        request = JobRequest(upload=upload) if upload else JobRequest(image="ct")
        state = State.running if expires is None else State.done
        job = Job(id=f"{number:032x}", state=state, request=request, created=number, expires=expires)
        self.store.save(job)
        self.jobs.remember(job)
        return job

    def upload(self, number: int, expires: float) -> str:
        name = f"{number:032x}"
        (self.store.uploads / name).mkdir()
        info = Upload(id=name, bytes=1, expires=expires, shape=(1, 1, 1), spacing=(1, 1, 1))
        self.uploads.add(StoredUpload(info, self.store.uploads / name / "volume.nii", (0, 1)))
        return name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("retention", "storage.uploads"):
        monkeypatch.setattr(f"monai_semgan.jobs.{name}.time", clock)
    return clock


@pytest.fixture
def shelf(tmp_path: Path, clock: Clock) -> Shelf:
    return Shelf(tmp_path)


def test_an_upload_goes_soon_after_the_last_job_that_used_it(shelf: Shelf, clock: Clock) -> None:
    unused, used = shelf.upload(1, clock.now + HOUR), shelf.upload(2, clock.now + HOUR)
    job = shelf.job(3, upload=used)
    clock.now += 3 * HOUR  # a long queue
    shelf.retention.expire()
    assert [path.name for path in shelf.store.uploads.iterdir()] == [used] and unused not in shelf.uploads._known
    job.state = State.done
    clock.now += 0.9 * HOUR
    shelf.retention.expire()
    assert (shelf.store.uploads / used).exists()
    clock.now += 0.2 * HOUR
    shelf.retention.expire()
    assert not list(shelf.store.uploads.iterdir())


def test_ended_jobs_go_after_their_time_and_those_that_run_do_not(shelf: Shelf, clock: Clock) -> None:
    ended, running = shelf.job(1, expires=clock.now + HOUR), shelf.job(2)
    shelf.retention.expire()
    assert shelf.store.folder(ended.id).exists()
    clock.now += 2 * HOUR
    shelf.retention.expire()
    assert not shelf.store.folder(ended.id).exists() and shelf.store.folder(running.id).exists()


@pytest.mark.parametrize("stage", ["moving", "deleting"])
def test_what_could_not_be_removed_is_tried_again_and_told_once(
    stage: str, shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = shelf.job(1, expires=clock.now - 1)
    other = shelf.job(2)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(storing.shutil, "rmtree", lambda *_, **__: None)
    if stage == "moving":
        monkeypatch.setattr(storing.os, "replace", refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            shelf.retention.expire()
            shelf.retention.retry(shelf.retention.left_over())
            clock.now += module.RETRY_SECONDS
    assert sum("still on disk" in line for line in caplog.messages) == 1 and job.id not in caplog.text
    assert len(list(shelf.store.jobs.iterdir())) == 2
    monkeypatch.undo()
    monkeypatch.setattr(module, "time", clock)
    clock.now += module.RETRY_SECONDS
    shelf.retention.retry(shelf.retention.left_over())
    assert [path.name for path in shelf.store.jobs.iterdir()] == [other.id]


def test_what_is_being_written_is_not_taken_for_left_over(shelf: Shelf, clock: Clock) -> None:
    for name in (".a.part", ".b.gone"):
        (shelf.store.jobs / name).mkdir()
        (shelf.store.uploads / name).mkdir()
    (shelf.store.uploads / ("c" * 32)).mkdir()  # is arriving in parts
    clock.now += module.RETRY_SECONDS
    assert {path.name for path in shelf.retention.left_over()} == {".b.gone"}
    assert shelf.retention.left_over() == []  # not all the time


def test_how_long_things_are_kept_is_told(serve: Serve, make_studies: Callable[[], Path]) -> None:
    server = serve(make_studies(), keep_seconds=7200.0, upload_keep_seconds=600.0)
    health = server.get("/health").json()
    assert (health["keep_seconds"], health["upload_keep_seconds"]) == (7200.0, 600.0)
    upload = server.upload((server.studies / "ct.nii.gz").read_bytes()).json()
    assert upload["expires"] == pytest.approx(time.time() + 600, abs=120)
    job = server.submit(upload=upload["id"])
    ended = server.done(job)
    assert ended["expires"] == pytest.approx(ended["finished"] + 7200)


def test_a_scan_that_was_replaced_or_removed_meanwhile_fails_the_job_that_waits(
    serve: Serve, make_studies: Callable[[], Path]
) -> None:
    server = serve(make_studies())
    blocker = server.running()
    replaced = server.submit(image="mr", mode="invert")
    (server.studies / "mr.nii.gz").write_bytes((server.studies / "ct.nii.gz").read_bytes())
    removed_later = server.submit(image="mr", mode="invert")
    server.ask("DELETE", f"/jobs/{blocker}")
    first = server.wait(replaced)
    assert first["state"] == "failed" and "was replaced" in first["message"] and first["parts"] == []
    server.wait(removed_later)
    blocker = server.running()
    removed = server.submit(image="mr", mode="invert")
    (server.studies / "mr.nii.gz").unlink()
    server.ask("DELETE", f"/jobs/{blocker}")
    last = server.wait(removed)
    assert last["state"] == "failed" and "removed" in last["message"] and str(server.studies) not in last["message"]


def test_corrections_go_with_the_job_that_they_correct_and_not_before(shelf: Shelf, clock: Clock) -> None:
    root = shelf.job(1, expires=clock.now + HOUR)
    correction = shelf.job(2, expires=clock.now - HOUR)
    correction.corrects = root.id
    shelf.retention.expire()
    assert [entry.job.id for entry in shelf.jobs] == [root.id, correction.id]
    for remove in list(shelf.retention.removals(keep_job=root.id)):
        remove()
    assert shelf.jobs.get(correction.id) is not None


def test_a_job_stays_while_it_is_being_corrected(shelf: Shelf, clock: Clock) -> None:
    root, correction = shelf.job(1, expires=clock.now - HOUR), shelf.job(2)
    correction.corrects = root.id
    shelf.retention.expire()
    assert shelf.jobs.get(root.id) is not None and list(shelf.retention.removals()) == []
    correction.state = State.done
    shelf.retention.expire()
    assert shelf.jobs.get(root.id) is None
