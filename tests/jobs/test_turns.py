"""Previews go before an inversion that runs, which goes on where it was: in the worker, and as clients see it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.errors import Cancelled
from tests.jobs.conftest import Serve, Server

pytestmark = pytest.mark.label

WAIT = 60
JOB = "0" * 32
MakeStudies = Callable[[], Path]


class Said:
    """What a worker would say to its server."""

    def __init__(self) -> None:
        self.words: list[tuple[str, str]] = []

    def __call__(self, say: str, job: str = "", **values: Any) -> None:
        self.words.append((say, job))

    def count(self, say: str) -> int:
        return sum(word == say for word, _ in self.words)


def run_inversion(
    bundle: Path, image: Path, results: Path, gate: Any, said: Said, cancelled: set[str], steps: int = 6
) -> tuple[str, str]:
    """Run an inversion as a worker does."""
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.jobs.workers.job_runner import JobRun
    from monai_semgan.jobs.workers.messages import Task
    from monai_semgan.jobs.workers.turns import JobTurn

    loaded = load_bundle(bundle, "cpu")
    task = Task(JOB, str(image), str(results), str(bundle), "invert", tuple(loaded.labels), steps=steps)
    with gate.computing():
        return JobRun(task, loaded, said, JobTurn(JOB, said, gate, cancelled), 0.0).run()


def test_an_inversion_that_was_paused_finds_the_very_same_bits(
    tiny_bundle: Path, make_studies: MakeStudies, tmp_path: Path
) -> None:
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.jobs.storage.result_files import LABEL, MAPS, versions
    from monai_semgan.jobs.workers.turns import TurnGate

    image, gate = make_studies() / "ct.nii.gz", TurnGate()
    previews: list[threading.Thread] = []

    def preview() -> None:
        gate.await_pause()
        segment(image, tiny_bundle)
        gate.done()

    class Interrupted(Said):
        """Somebody asks for a preview after some of the steps."""

        def __call__(self, say: str, job: str = "", **values: Any) -> None:
            super().__call__(say, job, **values)
            if say == "progress" and values.get("step") in (0, 2, 3):
                gate.announce()
                previews.append(threading.Thread(target=preview))
                previews[-1].start()

    found, said = {}, {"alone": Said(), "paused": Interrupted()}
    for name, words in said.items():
        assert run_inversion(tiny_bundle, image, tmp_path / name, gate, words, set()) == ("done", "done")
        newest = tmp_path / name / str(versions(tmp_path / name)[-1])
        with np.load(newest / MAPS) as maps:
            found[name] = {**maps, "label": np.frombuffer((newest / LABEL).read_bytes(), np.uint8)}
    for thread in previews:
        thread.join(WAIT)
    assert said["paused"].count("paused") == said["paused"].count("resumed") == 3
    assert found["alone"].keys() == found["paused"].keys()
    for part, values in found["alone"].items():
        assert np.array_equal(values, found["paused"][part]), part


def test_an_inversion_that_is_cancelled_while_it_is_paused_ends_with_its_best_result(
    tiny_bundle: Path, make_studies: MakeStudies, tmp_path: Path
) -> None:
    from monai_semgan.jobs.storage.result_files import read_result, versions
    from monai_semgan.jobs.workers.turns import TurnGate

    gate, cancelled = TurnGate(), set[str]()

    class Cancelling(Said):
        def __call__(self, say: str, job: str = "", **values: Any) -> None:
            super().__call__(say, job, **values)
            if say == "progress" and values.get("step") == 2:
                gate.announce()  # and nobody ever computes that preview
            if say == "paused":
                threading.Timer(0.2, cancel).start()

    def cancel() -> None:
        cancelled.add(JOB)
        gate.wake()

    said = Cancelling()
    image = make_studies() / "ct.nii.gz"
    state, message = run_inversion(tiny_bundle, image, tmp_path, gate, said, cancelled, steps=1000)
    assert state == "cancelled" and "best result" in message and said.count("paused") == 1
    assert not read_result(tmp_path / str(versions(tmp_path)[-1])).partial


def test_a_preview_does_not_wait_for_work_that_cannot_be_paused() -> None:
    from monai_semgan.jobs.workers.turns import TurnGate

    gate, began = TurnGate(), threading.Event()

    def begin() -> None:
        gate.await_pause()
        began.set()

    with gate.computing():  # and never looks at the gate
        gate.announce()
        threading.Thread(target=begin).start()
        assert began.wait(WAIT)


def test_a_job_that_pauses_others_is_paused_by_none() -> None:
    from monai_semgan.jobs.workers.turns import JobTurn, TurnGate

    gate, said = TurnGate(), Said()
    gate.announce()
    JobTurn("preview", said, None, set()).keep()
    assert not said.words
    with pytest.raises(Cancelled):
        JobTurn("preview", said, None, {"preview"}).keep()


@pytest.fixture(scope="module")
def desk(serve: Serve, make_studies: MakeStudies) -> Server:
    """A server of this file."""
    return serve(make_studies())


def held_up(server: Server, job: str, previews: int = 4) -> list[str]:
    """Ids of previews that are being computed or wait, while a job is paused for them."""
    sent = [server.submit(image="ct") for _ in range(previews)]
    server.wait(job, lambda found: found["state"] == "paused" or found["paused_seconds"] > 0)
    return sent


def test_previews_are_done_while_an_inversion_is_paused_and_it_goes_on_where_it_was(desk: Server) -> None:
    job = desk.running()
    before = desk.job(job)
    previews = held_up(desk, job)
    paused = desk.job(job)
    assert paused["state"] == "running" or "previews go first" in paused["message"]
    for preview in previews:
        ended = desk.done(preview)
        assert ended["paused_seconds"] == 0
    after = desk.wait(job, lambda found: found["state"] == "running" and found["step"] > before["step"] + 2)
    assert after["finished"] is None and after["paused_seconds"] > 0
    assert len(after["loss"]) == after["step"] + 1  # no step twice, none left out
    desk.ask("DELETE", f"/jobs/{job}")


def test_an_inversion_that_waits_lets_later_previews_pass(desk: Server) -> None:
    job = desk.running()
    waiting = desk.submit(image="mr", mode="invert")
    preview = desk.submit(image="ct")
    ended = desk.done(preview)
    assert desk.job(waiting)["state"] == "queued" and ended["created"] > desk.job(waiting)["created"]
    for one in (job, waiting):
        desk.ask("DELETE", f"/jobs/{one}")


def test_a_paused_inversion_is_cancelled_at_once_and_keeps_what_it_has_found(desk: Server) -> None:
    job = desk.running()
    previews = held_up(desk, job)
    assert desk.ask("POST", f"/jobs/{job}/cancel").status_code == 200
    assert desk.reported(job)["state"] == "cancelled"
    assert desk.get(f"/jobs/{job}/result/label").status_code == 200
    for preview in previews:
        desk.done(preview)


def test_a_paused_inversion_is_removed_with_its_files(desk: Server) -> None:
    job = desk.running()
    previews = held_up(desk, job)
    assert desk.ask("DELETE", f"/jobs/{job}").status_code == 204
    assert desk.get(f"/jobs/{job}").status_code == 404
    for preview in previews:
        desk.done(preview)
    desk.done(desk.submit(image="ct", mode="invert"))
    assert not desk.folder(job).exists()


def test_a_worker_that_dies_with_a_paused_inversion_takes_no_result_along(serve: Serve, make_studies: Any) -> None:
    server = serve(make_studies())
    job = server.running()
    previews = held_up(server, job)
    (worker,) = server.workers()
    worker.kill()
    ended = server.wait(job)
    assert ended["state"] == "failed" and "killed (signal 9)" in ended["message"]
    assert server.get(f"/jobs/{job}/result").json()["partial"]
    states = [server.wait(preview)["state"] for preview in previews]
    assert states.count("failed") <= 1 and states[-1] == "done"  # the others began with the next worker
