"""SIGTERM ends a run soon, with a checkpoint from which it goes on, whatever it is at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.networks.weights import load_weights
from tests.training.phantoms import TINY, train, write_patients

SECONDS = 300
"""Only so that a process that hangs ends the test: that it did not wait is told by its record."""

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0, "consistency": False}

SCRIPT = """
import json, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from monai_semgan.training.run import train
from monai_semgan.training.stages.student_stage import StudentStage
from monai_semgan.training.training_settings import TrainSettings
segment = StudentStage.segment
def slow(stage, image):
    Path(sys.argv[2], "validating").touch()
    time.sleep(2)
    return segment(stage, image)
if sys.argv[4] == "slow validation":
    StudentStage.segment = slow
step = StudentStage.step
def slow_step(stage, number):
    losses = step(stage, number)
    if number:
        Path(sys.argv[2], "second step").touch()
    time.sleep(60 if number else 3.5)
    return losses
if sys.argv[4] == "slow steps":
    StudentStage.step = slow_step
(result,) = train("student", sys.argv[1], sys.argv[2], TrainSettings.gather(json.loads(sys.argv[3])))
sys.exit(0 if result.finished else 130)
"""


def start(datalist: Path, out: Path, settings: dict[str, Any], how: str) -> subprocess.Popen[bytes]:
    out.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(datalist), str(out), json.dumps(settings), how]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, "the run ended too early, or never began"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data list with so many validation patients that validation takes half a minute when it is slow."""
    return write_patients(tmp_path_factory.mktemp("many"), training=3, unlabelled=1, validation=15)


def test_sigterm_during_the_last_validation_leaves_the_weights_and_the_validation_is_made_up_for(
    many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(many, out, {**STUDENT, "steps": 4}, "slow validation")
    wait_for(out / "validating", process)
    process.terminate()
    assert process.wait(timeout=SECONDS) == 130
    record = json.loads((out / "student" / "record.json").read_text())
    assert record["step"] == 4 and not record["validated"] and not record["metrics"]
    assert "stopped" in (out / "run.html").read_text()
    (resumed,) = train("student", many, out, resume=True, steps=4, **STUDENT)
    assert resumed.finished and resumed.steps == 4 and "dice" in resumed.metrics


def test_sigterm_during_training_leaves_a_checkpoint_without_validating(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(many, out, {**STUDENT, "steps": 100_000, "checkpoint_steps": 2}, "slow validation")
    wait_for(out / "student" / "checkpoint.pt", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=SECONDS) == 130
    record = json.loads((out / "student" / "record.json").read_text())
    assert record["step"] > 0 and not record["history"]
    (resumed,) = train("student", many, out, resume=True, steps=record["step"] + 1, **STUDENT)
    assert resumed.finished and resumed.steps == record["step"] + 1


def test_sigterm_in_a_step_of_a_minute_takes_it_back_and_the_resumed_run_ends_as_if_nobody_had_stopped_it(
    many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(many, out, {**STUDENT, "steps": 3}, "slow steps")
    wait_for(out / "second step", process)
    process.terminate()
    assert process.wait(timeout=SECONDS) == 130
    assert json.loads((out / "student" / "record.json").read_text())["step"] == 1
    train("student", many, out, resume=True, steps=3, **STUDENT)
    train("student", many, tmp_path / "undisturbed", steps=3, **STUDENT)
    stopped, undisturbed = (load_weights(folder / "model.pt") for folder in (out, tmp_path / "undisturbed"))
    assert all(torch.equal(stopped[name], tensor) for name, tensor in undisturbed.items())
