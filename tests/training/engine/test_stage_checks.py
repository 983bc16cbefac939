"""Checks and pictures keep to their share of the time, and the time left counts those to come."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monai_semgan.errors import Cancelled
from monai_semgan.training.engine.handlers import ProgressHandler
from monai_semgan.training.engine.loss_history import LossHistory
from monai_semgan.training.engine.schedule import Schedule, Stopwatch
from monai_semgan.training.engine.stage_checks import StageChecks
from monai_semgan.utils.progress import NullProgress


class FakeStage(SimpleNamespace):
    """A stage whose score is its number of evaluations; the last check takes 20 s."""

    name, check_share, check_seconds = "fake", 0.05, math.inf
    evaluations = 0

    def evaluate(self, final: bool) -> dict[str, float]:
        self.evaluations += 1
        return {"dice": [0.5, 0.9, 0.8][self.evaluations - 1]}

    def final_check_seconds(self) -> float:
        return 20.0

    def details(self) -> dict[str, Any]:
        return {"validation_slices": 7}

    def images_seen(self, step: int) -> int:
        return 4 * step

    def check_stop(self) -> None:
        pass

    def image_grid(self) -> np.ndarray:
        return np.zeros((4, 4, 3), np.uint8)

    def worst_slices(self) -> np.ndarray | None:
        return None


@pytest.fixture
def checks(tmp_path: Path) -> StageChecks:
    return StageChecks(FakeStage(), tmp_path)  # type: ignore[arg-type]


def test_the_first_check_is_made_in_any_case_and_a_later_one_only_within_its_share(checks: StageChecks) -> None:
    assert checks.run(1, 0.0, False)
    checks.seconds["checks"] = 10.0
    assert not checks.run(2, 100.0, False), "half of 5 % of 105 s are spent"
    assert checks.run(3, 1000.0, False)
    assert checks.run(4, 1000.0, True) and checks.complete
    assert [entry["step"] for entry in checks.history] == [1, 3, 4]
    assert checks.history[0]["slices"] == 7 and checks.history[0]["images"] == 4


def test_last_and_best_dice_are_shown(checks: StageChecks) -> None:
    assert checks.shown == {}
    for step, final in ((1, False), (2, False), (3, True)):
        checks.run(step, 1e6, final)
    assert checks.shown == {"dice": 0.8, "best": 0.9}


def test_a_check_that_is_broken_off_is_owed(checks: StageChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(final: bool) -> dict[str, float]:
        raise Cancelled

    monkeypatch.setattr(checks.stage, "evaluate", cancelled)
    assert not checks.run(9, 100.0, True)
    assert not checks.complete and checks.history == []


def test_checkpoints_of_before_tell_one_time_and_owe_nothing(checks: StageChecks) -> None:
    checks.load({"metrics": {"dice": None}, "history": [{"step": 3, "dice": None}], "checked": 12.5})
    assert checks.spent == 12.5 and checks.complete
    assert math.isnan(checks.metrics["dice"]) and checks.shown == {}


@pytest.mark.parametrize(("schedule", "left"), [(Schedule(steps=100), 90.0), (Schedule(budget=60.0), 50.0)])
def test_the_time_left_counts_training_and_the_checks_to_come(
    checks: StageChecks, schedule: Schedule, left: float
) -> None:
    """Ten steps have taken ten seconds; of four parts with a check each, none is over."""
    watch = Stopwatch(0.0, clock=iter([0.0] + [10.0] * 20).__next__)
    handler = SimpleNamespace(schedule=schedule, watch=watch, stage=checks.stage, fraction=lambda step: 0.1)
    progress = ProgressHandler(NullProgress(), handler, checks, 20, 4, LossHistory())  # type: ignore[arg-type]
    progress._first = (0, 0.0)
    checks._between = [2.0, 4.0]
    assert progress.eta_seconds(10) == pytest.approx(left + 3 * 3.0 + 20.0)
