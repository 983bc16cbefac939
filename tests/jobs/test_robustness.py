"""What jobs and datastore survive: killed workers, killed servers, full disks, time."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.jobs.conftest import LEAVE_SECONDS, Serve, Server, hashes

pytestmark = [pytest.mark.label, pytest.mark.slow]

MakeStudies = Callable[[], Path]


def reached(so: Callable[[], bool], seconds: float = 150) -> bool:
    """Whether something becomes so in time."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def gone(pid: int) -> bool:
    """Whether a process ends in time."""
    import psutil

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return reached(ended)


@pytest.fixture(scope="module")
def impatient(serve: Serve, make_studies: MakeStudies) -> Server:
    """A server that kills workers soon."""
    return serve(make_studies(), cancel_seconds=1.0)


def test_a_killed_worker_costs_its_job_only_and_what_it_found_stays(impatient: Server) -> None:
    server = impatient
    job, follower = server.running(), server.submit(image="ct", mode="invert")
    (worker,) = server.workers()
    worker.kill()
    ended = server.wait(job)
    assert ended["state"] == "failed" and "killed (signal 9)" in ended["message"]
    assert "label" in ended["parts"] and server.get(f"/jobs/{job}/result/label").status_code == 200
    assert server.get(f"/jobs/{job}/result").json()["partial"]
    server.done(follower)
    assert len(server.workers()) == 1


def test_a_killed_server_leaves_interrupted_jobs_with_what_they_found_and_no_process(
    serve: Serve, make_studies: MakeStudies
) -> None:
    studies = make_studies()
    before = hashes(studies)
    server = serve(studies)
    upload = server.upload((studies / "mr.nii.gz").read_bytes()).json()["id"]
    finished = server.submit(image="ct")
    server.done(finished)
    job, waiting = server.running(), server.submit(upload=upload, mode="invert")
    (worker,) = server.workers()
    found = server.job(job)
    server.kill()
    assert gone(worker.pid)
    again = serve(studies)
    after = again.job(job)
    assert after["state"] == "interrupted" and after["result_version"] >= found["result_version"]
    assert "label" in after["parts"] and again.get(f"/jobs/{job}/result/residual").status_code == 200
    assert again.job(waiting)["state"] == "interrupted" and again.job(finished)["state"] == "done"
    assert again.get(f"/jobs/{waiting}/result").status_code == 409
    assert again.ask("POST", f"/jobs/{job}/cancel").status_code == 409
    again.done(again.submit(upload=upload))
    assert hashes(studies) == before


def test_a_server_that_is_stopped_lets_its_workers_go(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    server = serve(studies)
    job = server.running()
    (worker,) = server.workers()
    server.process.terminate()
    server.process.wait(LEAVE_SECONDS)
    assert gone(worker.pid)
    record = json.loads((server.folder(job) / "job.json").read_text())
    assert record["state"] == "interrupted" and "stopped" in record["message"]


def test_a_worker_that_does_not_obey_is_killed_and_its_last_result_stays(impatient: Server) -> None:
    server = impatient
    job = server.running()
    (worker,) = server.workers()
    worker.send_signal(signal.SIGSTOP)
    assert server.ask("POST", f"/jobs/{job}/cancel").json()["message"] == "is being cancelled"
    ended = server.wait(job)
    assert ended["state"] == "cancelled" and "label" in ended["parts"]
    assert gone(worker.pid)
    server.done(server.submit(image="ct"))


def test_a_job_that_is_removed_while_its_worker_hangs_takes_its_files_along(impatient: Server) -> None:
    server = impatient
    job = server.running()
    (worker,) = server.workers()
    worker.send_signal(signal.SIGSTOP)
    assert server.ask("DELETE", f"/jobs/{job}").status_code == 204
    assert server.get(f"/jobs/{job}").status_code == 404
    server.done(server.submit(image="ct"))
    assert not server.folder(job).exists()


def test_jobs_and_uploads_expire(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies(), keep_seconds=5.0)
    upload = server.upload((server.studies / "ct.nii.gz").read_bytes()).json()["id"]
    job = server.submit(image="ct")
    server.done(job)
    assert reached(lambda: server.get(f"/jobs/{job}").status_code == 404)
    assert reached(lambda: not server.folder(job).exists())
    assert server.ask("POST", "/jobs", json={"upload": upload}).status_code == 404
    assert server.get("/health").json()["disk_bytes"] == 0


def test_the_oldest_jobs_make_room_and_without_room_nothing_is_taken(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    server = serve(studies, disk_limit_bytes=1_500_000)
    jobs = []
    for _ in range(4):
        jobs.append(server.submit(image="ct"))
        server.reported(jobs[-1])
    # reports are looked at afterwards
    assert reached(lambda: server.get(f"/jobs/{jobs[0]}").status_code == 404)
    assert reached(lambda: server.get("/health").json()["disk_bytes"] <= 1_500_000)
    assert server.get(f"/jobs/{jobs[-1]}").status_code == 200
    full = server.upload(bytes(1_600_000), ".nii")
    assert full.status_code == 507 and "no room" in full.json()["detail"]
    server.process.terminate()
    server.process.wait(LEAVE_SECONDS)
    tight = serve(studies, disk_limit_bytes=1000)
    refused = tight.ask("POST", "/jobs", json={"image": "ct"})
    assert refused.status_code == 507 and "no room" in refused.json()["detail"]


def test_a_full_disk_fails_the_job_in_words_and_breaks_no_file(serve: Serve, make_studies: MakeStudies) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    studies = make_studies()
    before = hashes(studies)
    server = serve(studies, before=small_files)
    refused = server.upload(bytes(100_000), ".nii")
    assert refused.status_code == 507 and "disk is full" in refused.json()["detail"]
    job = server.submit(image="ct")
    ended = server.wait(job)
    assert ended["state"] == "failed" and "disk is full" in ended["message"] and ended["parts"] == []
    assert json.loads((server.folder(job) / "job.json").read_text())["state"] == "failed"
    assert server.get("/health").status_code == 200 and hashes(studies) == before


def test_a_full_queue_takes_no_more(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies(), queue_limit=2)
    running = server.running()
    waiting = [server.submit(image="ct", mode="invert") for _ in range(2)]
    refused = server.ask("POST", "/jobs", json={"image": "ct"})
    assert refused.status_code == 429 and "2 jobs are waiting" in refused.json()["detail"]
    for job in (*waiting, running):
        server.ask("DELETE", f"/jobs/{job}")
    server.done(server.submit(image="ct"))


def test_two_devices_work_at_once(serve: Serve, make_studies: MakeStudies) -> None:
    server = serve(make_studies(), devices=["cpu", "cpu"])
    jobs = [server.running(), server.running(image="mr")]
    assert [server.job(job)["state"] for job in jobs] == ["running", "running"]
    assert {worker["job"] for worker in server.get("/health").json()["workers"]} == set(jobs)
    for job in jobs:
        server.ask("POST", f"/jobs/{job}/cancel")
        assert server.wait(job)["state"] == "cancelled"


def test_a_model_that_cannot_be_loaded_fails_its_jobs_in_words(
    serve: Serve, make_studies: MakeStudies, tiny_bundle: Path, tmp_path: Path
) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    (broken / "models" / "model.pt").write_bytes(b"no weights")
    server = serve(make_studies(), bundle=broken)
    ended = server.wait(server.submit(image="ct"))
    assert ended["state"] == "failed" and "the model cannot be used" in ended["message"]
    assert str(tmp_path) not in ended["message"] and not server.get("/health").json()["ready"]


def test_a_second_server_on_the_same_studies_does_not_start(
    serve: Serve, make_studies: MakeStudies, tiny_bundle: Path
) -> None:
    server = serve(make_studies())
    command = [sys.executable, "-m", "tests.jobs.serving", server.studies, tiny_bundle, "0", "{}"]
    second = subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=120)
    assert second.returncode != 0 and "another server uses these studies" in second.stderr


def test_many_jobs_leave_no_traces(serve: Serve, make_studies: MakeStudies) -> None:
    import psutil

    server = serve(make_studies(), jobs_limit=4)
    process = psutil.Process(server.process.pid)
    used: list[tuple[int, int]] = []
    for number in range(20):
        job = server.submit(image="ct")
        server.done(job)
        server.get(f"/jobs/{job}/result/uncertainty")
        if number % 5 == 4:
            used.append((process.num_fds(), process.num_threads()))
    server.get(f"/jobs/{job}/result/report")  # the last one is being written beside the folders of the jobs
    assert reached(lambda: len(server.get("/jobs").json()["jobs"]) == 4)
    assert reached(lambda: len(list((server.studies / ".semgan" / "jobs").iterdir())) == 4)
    assert used[-1][0] <= used[0][0] + 2 and used[-1][1] <= used[0][1] + 2, used


def test_jobs_of_a_server_that_left_half_written_files_are_tidied(serve: Serve, make_studies: MakeStudies) -> None:
    studies = make_studies()
    root = studies / ".semgan"
    (root / "jobs" / ("a" * 32)).mkdir(parents=True)
    (root / "jobs" / ("a" * 32) / "job.json").write_text('{"id": "aaa')
    (root / "uploads" / ".b.part").mkdir(parents=True)
    server: Server = serve(studies)
    assert server.get("/jobs").json()["jobs"] == []
    assert not list((root / "jobs").iterdir()) and not list((root / "uploads").iterdir())
