"""The time left of a training, as clients are told it."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from monai_semgan.jobs.train_contract import Training, TrainKind, TrainRequest, TrainState
from monai_semgan.jobs.training_child import TrainingChild
from monai_semgan.jobs.training_entries import TrainingEntry
from monai_semgan.jobs.training_files import Record

pytestmark = pytest.mark.label


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, which a test moves on."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def entry(clock: list[float]) -> TrainingEntry:
    """A training of 300 seconds that has just begun."""
    asked = TrainRequest(kind=TrainKind.tune, seconds=300.0)
    told = Training(
        id="0" * 32,
        state=TrainState.queued,
        kind=asked.kind,
        model="SemGAN",
        structures=[],
        images=[],
        seconds=asked.seconds,
        created=0.0,
    )
    found = TrainingEntry(Record(training=told, request=asked))
    found.begin()
    return found


def test_all_the_time_is_left_while_scans_are_read(entry: TrainingEntry, clock: list[float]) -> None:
    entry.progress({"step": 2, "steps": 3, "message": "reading scan"})
    clock[0] += 20
    assert entry.told().eta_seconds == 300.0


def test_the_time_left_runs_while_it_learns_and_stands_still_while_it_measures(
    entry: TrainingEntry, clock: list[float]
) -> None:
    entry.progress({"step": 50, "steps": 100, "message": "learning", "eta": 150.0})
    clock[0] += 10
    assert entry.told().eta_seconds == 140.0
    entry.progress({"step": 0, "steps": 1, "message": "measuring"})
    clock[0] += 60
    assert entry.told().eta_seconds == 140.0


class Obedient(TrainingChild):
    """A process that does what it is told, of which there is none."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


def test_the_time_left_stands_still_while_jobs_go_first(entry: TrainingEntry, clock: list[float]) -> None:
    entry.child = Obedient()
    entry.progress({"step": 10, "steps": 100, "message": "learning", "eta": 90.0})
    entry.hold()
    entry.progress({"step": 11, "steps": 100, "message": "learning", "eta": 89.0})  # of the step that it was in
    clock[0] += 500
    assert entry.told().eta_seconds == 89.0 and entry.told().paused_seconds == 500.0
    entry.release()
    clock[0] += 5
    entry.progress({"step": 12, "steps": 100, "message": "learning", "eta": 88.0})
    clock[0] += 1
    assert entry.told().eta_seconds == 87.0 and entry.told().paused_seconds == 500.0


def test_nobody_knows_how_long_the_rest_takes_once_the_time_of_learning_is_over(
    entry: TrainingEntry, clock: list[float]
) -> None:
    entry.progress({"step": 99, "steps": 100, "message": "learning", "eta": 3.0})
    clock[0] += 5
    assert entry.told().eta_seconds is None
    entry.progress({"step": 0, "steps": 1, "message": "measuring"})
    assert entry.told().eta_seconds is None
