"""A mistake in a data list is refused by every command that reads it: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import training_transforms
from monai_semgan.workflows.training import StageTraining, VolumeDataset, list_volumes
from tests.training.test_list_mistakes import (
    REFUSED,
    Change,
    copied_image,
    copied_test_image,
    fractions,
    other_grid,
    unknown_id,
    write,
)

MISTAKES = pytest.mark.parametrize(("change", "message"), REFUSED, ids=[change.__name__ for change, _ in REFUSED])

SLICES = ["--size", "32", "--pixel-mm", "10"]

NOT_READ = (unknown_id, fractions, other_grid, copied_image, copied_test_image)
"""What nobody sees who reads no image and the labels of the validation alone."""


def refused(arguments: list[str], path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command says, all of it."""
    assert main([*arguments, "--quiet"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and "Traceback" not in errors[0], errors
    return errors[0]


def train_bundle(path: Path, folder: Path) -> None:
    """Train a step as the configuration of a bundle does."""
    slices = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    sections = [
        VolumeDataset(
            list_volumes(path.parent, section), training_transforms(slices), slices, folder / "cache", section
        )
        for section in ("training", "validation")
    ]
    settings = {"channels": [4, 8], "device": "cpu", "tensorboard": False, "epoch_length": 1}
    StageTraining("student", sections[0], folder / "out", 1, validation=sections[1], settings=settings).run()


@MISTAKES
def test_plan_refuses_it(change: Change, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "data", change)
    line = refused(["plan", str(path), "--out", str(tmp_path / "run")], path, capsys)
    assert ";" in line, "there is a remedy"
    assert not list((tmp_path / "run").glob("*.json")) and not list((tmp_path / "run").glob("*.html"))


@MISTAKES
def test_train_refuses_it(change: Change, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "data", change)
    line = refused(
        ["train", "student", "--data", str(path), "--out", str(tmp_path / "run"), "--steps", "1", *SLICES], path, capsys
    )
    assert ";" in line and not list((tmp_path / "run").rglob("*.pt.part")) and not (tmp_path / "run/student").exists()


@MISTAKES
def test_the_training_of_a_bundle_refuses_it(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "data", change)
    if change is unknown_id:
        train_bundle(path, tmp_path)
        assert "600" in caplog.text and "become background" in caplog.text, "the bundle has chosen the classes"
        return
    with pytest.raises(SemganError) as caught:
        train_bundle(path, tmp_path)
    assert caught.value.remedy and not (tmp_path / "out" / "student").exists()


@MISTAKES
def test_evaluate_refuses_it(change: Change, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "data", change)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for entry in json.loads(path.read_text())["validation"]:
        shutil.copy(path.parent / "label_3.nii.gz", predictions / Path(entry["image"]).name)
    arguments = ["evaluate", "--predictions", str(predictions), "--data", str(path), "--out", str(tmp_path / "scores")]
    if change in NOT_READ:
        assert main([*arguments, "--quiet"]) == 0
        return
    assert ";" in refused(arguments, path, capsys) and not (tmp_path / "scores" / "summary.md").exists()
