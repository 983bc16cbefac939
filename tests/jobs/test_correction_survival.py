"""Corrections survive killed workers, killed servers and full disks; what cannot be kept is said in words."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.jobs.conftest import Serve
from tests.jobs.reader import Reader, stroke
from tests.jobs.test_correction_order import worker_stopped

FULL = "the disk is full; remove jobs or uploads, or ask whoever runs the server"

pytestmark = [pytest.mark.label, pytest.mark.slow]

MakeStudies = Callable[[], Path]


@contextmanager
def full_disk(process: Any, largest: int) -> Iterator[None]:
    """Within the block, a process can write no file larger than that."""
    import psutil

    process = psutil.Process(process.pid)
    process.rlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_worker_that_dies_loses_no_stroke(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies())
    reader = Reader.of(server)
    (worker,) = server.workers()
    with worker_stopped(server):
        jobs = [reader.asked(stroke(reader, row, 2), reach_mm=0.0) for row in (3, 4)]
        worker.kill()
    for job in jobs:
        server.done(job)
    assert all((reader.current()[3:6, row, 2] == 2).all() for row in (3, 4))


def test_history_and_strokes_survive_a_killed_server(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    server = serve(studies)
    reader = Reader.of(server)
    labels = [reader.label(), *(reader.label(reader.corrected(stroke(reader, row, 2))["id"]) for row in (3, 4))]
    reader.go_to(1)
    history = reader.history()
    with worker_stopped(server):
        server.kill()
    again = Reader(serve(studies), reader.root)
    assert again.history() == history and (again.current() == labels[1]).all()
    assert again.go_to(2)["current"] == 2 and (again.current() == labels[2]).all()
    third = again.corrected(stroke(again, 5, 2), reach_mm=0.0)
    assert third["correction"] == 3
    changed = again.label(third["id"]) != labels[2]
    assert not changed[..., 3:].any() and (again.current()[3:6, 5, 2] == 2).all()


def test_a_correction_that_a_killed_server_had_begun_is_interrupted_and_the_state_before_stands(
    serve: Serve, make_studies: MakeStudies
) -> None:
    studies = make_studies()
    server = serve(studies)
    reader = Reader.of(server)
    reader.corrected(stroke(reader, 3, 2))
    with worker_stopped(server):
        lost = reader.asked(stroke(reader, 4, 2))
        server.kill()
    again = Reader(serve(studies), reader.root)
    job = again.server.job(lost)
    assert job["state"] == "interrupted" and job["message"].endswith("the label stays as it was")
    history = again.history()
    assert history["current"] == 1 and [step["state"] for step in history["steps"]] == ["done", "interrupted"]
    path = f"/jobs/{reader.root}/corrections/current"
    refused = again.server.ask("POST", path, json={"number": 2})
    assert refused.status_code == 409 and "has no result" in refused.json()["detail"]


def test_what_a_killed_server_left_half_done_is_tidied_up(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    server = serve(studies)
    reader = Reader.of(server)
    kept, unlisted = (reader.corrected(stroke(reader, row, 2))["id"] for row in (3, 4))
    server.kill()
    record = server.folder(reader.root) / "corrections.json"
    content = record.read_text()
    start = content.index('{"number":2')
    record.write_text(f"{content[:start].rstrip(',')}]}}")
    again = Reader(serve(studies), reader.root)
    assert [step["job"] for step in again.history()["steps"]] == [kept]
    assert again.server.get(f"/jobs/{unlisted}").status_code == 404 and not server.folder(unlisted).exists()


def test_a_full_disk_refuses_or_fails_a_correction_in_words_and_nothing_changes(
    serve: Serve, make_studies: MakeStudies
) -> None:
    server = serve(make_studies())
    reader = Reader.of(server)
    first = reader.corrected(stroke(reader, 3, 2))
    files = sorted(path.name for path in (server.studies / ".semgan" / "jobs").iterdir())
    with full_disk(server.process, 100):
        refused = reader.ask(stroke(reader, 4, 2))
        assert refused.status_code == 507 and refused.json()["detail"] == FULL
        undo = server.ask("POST", f"/jobs/{reader.root}/corrections/current", json={"number": 0})
        assert undo.status_code == 507
    assert sorted(path.name for path in (server.studies / ".semgan" / "jobs").iterdir()) == files
    assert reader.history()["current"] == 1
    (worker,) = server.workers()
    with full_disk(worker, 100):
        failed = server.wait(reader.asked(stroke(reader, 4, 2)))
    assert failed["state"] == "failed" and failed["message"].startswith(FULL) and failed["parts"] == []
    assert reader.history()["current"] == 1 and (reader.current() == reader.label(first["id"])).all()
    third = reader.corrected(stroke(reader, 5, 2))
    assert reader.history()["current"] == third["correction"] == 3


def test_a_job_makes_no_room_for_its_own_correction(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies(), disk_limit_bytes=2_000_000)
    reader = Reader.of(server)
    voxels = int(np.prod(reader.shape))
    every = {**stroke(reader, 3, 2), "runs": [[voxel, 1] for voxel in range(voxels)]}
    refused = reader.ask(*[every] * (100_000 // voxels + 1))
    assert refused.status_code == 507 and server.job(reader.root)["state"] == "done"


def test_a_result_of_other_weights_is_not_corrected(
    serve: Serve, make_studies: MakeStudies, tiny_bundle: Path, tmp_path: Path
) -> None:
    studies = make_studies()
    server = serve(studies)
    reader = Reader.of(server)
    server.kill()
    other = tmp_path / tiny_bundle.name
    shutil.copytree(tiny_bundle, other)
    weights = torch.load(other / "models" / "model.pt", weights_only=True)
    torch.save(weights, other / "models" / "model.pt", pickle_protocol=3)
    again = Reader(serve(studies, bundle=other), reader.root)
    refused = again.ask(stroke(again, 3, 2))
    assert refused.status_code == 409 and "another version of the model" in refused.json()["detail"]
    assert (again.label() == again.current()).all()


def test_a_correction_of_a_scan_that_was_replaced_is_refused(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies())
    reader = Reader.of(server)
    scan = server.studies / "ct.nii.gz"
    scan.write_bytes((server.studies / "mr.nii.gz").read_bytes())
    refused = reader.ask(stroke(reader, 3, 2))
    assert refused.status_code == 409 and "replaced or changed" in refused.json()["detail"]
    scan.unlink()
    assert reader.ask(stroke(reader, 3, 2)).status_code == 404
