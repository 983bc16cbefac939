"""`semgan plan`, and the way from a data list to a bundle in three commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from monai_semgan.cli import main
from tests.training.phantoms import write_patients


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A data list of four phantoms that names its structures."""
    path = write_patients(tmp_path / "data")
    path.write_text(json.dumps({**json.loads(path.read_text()), "labels": {"1": "right kidney", "2": "left kidney"}}))
    return path


def test_three_commands_lead_from_a_list_to_a_bundle_that_segments(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bundle, label = (str(tmp_path / name) for name in ("run", "mine", "label.nii.gz"))
    small = ["--steps", "3", "--device", "cpu", "--quiet", "--set", "channels=[8,16]"]
    assert main(["plan", str(listed), "--out", run, "--quiet"]) == 0
    assert main(["train", "student", "--out", run, *small]) == 0
    assert main(["bundle", "make", run, "--out", bundle]) == 0
    scan = str(listed.parent / "image_3.nii.gz")
    assert main(["segment", scan, "--output", label, "--bundle", bundle, "--mode", "preview", "--quiet"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "size 64: the bodies need",
        "labels 1 right kidney, 2 left kidney",
        "doubt: only 2 training patients",
    ):
        assert words in shown
    assert Path(label).is_file()


def test_who_stops_a_plan_is_told_what_is_kept_and_can_go_on(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    command = ["plan", str(listed), "--out", str(run), "--size", "32", "--quiet"]
    with monkeypatch.context() as stopped:  # at the first scan that is looked at
        stopped.setattr("monai_semgan.cli.arguments._Silent.should_stop", lambda self: True)
        assert main(command) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err and not run.exists()
    with monkeypatch.context() as stopped:  # when the first one has been cut to slices
        stopped.setattr("monai_semgan.cli.arguments._Silent.should_stop", lambda self: any(run.glob("cache/*.pt")))
        assert main(command) == 130
    assert "interrupted; what was prepared is kept, run again to go on" in capsys.readouterr().err
    assert any(run.glob("cache/*.pt")) and not (run / "plan.json").exists()
    assert main(command) == 0


def test_a_plan_that_is_there_is_kept(listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", str(listed), "--out", str(tmp_path / "run"), "--size", "32", "--quiet"]
    assert main(command) == 0
    before = (tmp_path / "run" / "plan.json").read_bytes()
    capsys.readouterr()
    assert main(command) == 0
    assert "has this plan already" in capsys.readouterr().out
    assert (tmp_path / "run" / "plan.json").read_bytes() == before
    assert main([*command[:-3], "--size", "64", "--replace", "--quiet"]) == 0
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["size"] == 64


def test_mistakes_are_told_in_one_line_before_anything_is_planned(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, broken = str(tmp_path / "run"), tmp_path / "broken"
    shutil.copytree(listed.parent, broken)
    (broken / "label_0.nii.gz").write_bytes((broken / "image_0.nii.gz").read_bytes())
    unnamed = tmp_path / "data" / "unnamed.json"
    unnamed.write_text(json.dumps({**json.loads(listed.read_text()), "labels": {"1": "right kidney"}}))
    commands = {
        "nowhere.json: no such data list": ["plan", str(tmp_path / "nowhere.json"), "--out", run],
        "label_0.nii.gz: ": ["plan", str(broken / listed.name), "--out", run],
        "of the id 2, which the data list does not name": ["plan", str(unnamed), "--out", run],
        "unknown modality": ["plan", str(listed), "--out", run, "--modality", "PET"],
        "the data list has no label 'heart'": ["plan", str(listed), "--out", run, "--labels", "heart"],
        "no plan here tells the data list; give it with --data": ["train", "all", "--out", run, "--steps", "1"],
    }
    for problem, command in commands.items():
        assert main([*command, "--quiet"]) == 2, problem
        shown = capsys.readouterr().err
        assert problem in shown and shown.count("\n") == 1, shown
    assert not (tmp_path / "run" / "plan.json").exists() and not (tmp_path / "run" / "settings.json").exists()


def test_a_list_that_has_moved_is_found_with_data(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    small = ["--steps", "1", "--device", "cpu", "--quiet", "--set", "channels=[8,16]"]
    assert main(["plan", str(listed), "--out", run, "--quiet"]) == 0
    shutil.move(listed.parent, tmp_path / "moved")
    assert main(["train", "student", "--out", run, *small]) == 2
    assert "the data list of the plan is no longer there; give the place where it is now" in capsys.readouterr().err
    assert main(["train", "student", "--out", run, "--data", str(tmp_path / "moved" / listed.name), *small]) == 0
