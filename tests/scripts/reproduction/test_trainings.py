"""A training is given the settings of the record."""

from __future__ import annotations

from pathlib import Path

from reproduction.training_plan import Training
from reproduction.trainings import train_arguments


def test_a_training_takes_the_recorded_settings_from_the_command_line(tmp_path: Path) -> None:
    training = Training("student", {"generated_fraction": 0.25, "labelled": -1, "num_classes": 12}, 1000)
    arguments = train_arguments(training, tmp_path)
    assert arguments[arguments.index("--steps") + 1] == "1000"
    assert "generated_fraction=0.25" in arguments and "--labelled" not in arguments and "--init" not in arguments
