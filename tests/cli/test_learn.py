"""`semgan learn` as its user types it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from monai_semgan.cli import main
from monai_semgan.learning import added_bundle
from tests.learning.quiet_bundle import quiet, teach


@pytest.fixture(scope="module")
def old(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quiet(tiny_bundle, tmp_path_factory.mktemp("old") / "bundle")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teach(tmp_path_factory.mktemp("taught") / "scans", 1)


def learn(*words: object) -> int:
    """Exit code of the command."""
    return main(["learn", *map(str, words), "--quiet", "--threads", "1"])


def test_a_structure_is_learnt_used_and_taken_back(
    old: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--versions", tmp_path / "models", "--bundle", old)
    assert learn(scans, "--structure", "odd tumour", "--budget", "1s", *common) == 0
    told = capsys.readouterr().out
    assert "odd tumour" in told and "not measured" in told and "version 1 is in use" in told
    out = tmp_path / "found.seg.nrrd"
    assert (
        main(["segment", f"{scans}/scan0.nii.gz", "-o", str(out), "--bundle", f"{tmp_path}/models/1", "--quiet"]) == 0
    )
    assert b"odd tumour" in out.read_bytes() or "odd tumour" in capsys.readouterr().out
    assert learn("--use", 0, *common) == 0
    assert learn("--list", *common) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("* 0  shipped") for line in lines)
    assert any(line.startswith("  1  structure: odd tumour from 0") for line in lines)


def test_a_second_run_goes_on_from_the_version_in_use(old: Path, scans: Path, tmp_path: Path) -> None:
    common = ("--versions", tmp_path / "models", "--bundle", old, "--budget", "1s")
    assert learn(scans, "--structure", "odd tumour", *common) == 0
    assert learn(scans, "--structure", "odd cyst", "--colour", "1,2,3", *common) == 0
    told = json.loads((tmp_path / "models" / "2" / "version.json").read_text())
    assert (told["parent"], told["structures"]) == (1, ["odd cyst"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no scans are given; give"),
        (("missing", "--structure", "tumour"), "missing: no such data list or folder"),
        (("{scans}",), "no structure is named"),
        (("{scans}", "--structure", "spleen"), "the model knows 'spleen' already; make it better with --tune"),
        (("{scans}", "--structure", "a", "--structure", "b", "--label-id", "4"), "--label-id is given 1 times"),
        (("{scans}", "--structure", "tumour", "--label-id", "9"), "the label does not show tumour (id 9)"),
        (("{scans}", "--structure", "tumour", "--held-out", "1"), "leave none to learn from"),
        (("{scans}", "--structure", "tumour", "--budget", "soon"), "'soon' is no duration"),
        (("--use", "0"), "models: no such folder of versions"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(
    words: tuple[str, ...], said: str, old: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    typed = [word.format(scans=scans) for word in words]
    assert learn(*typed, "--versions", models, "--bundle", old) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not models.exists() or [path.name for path in models.iterdir() if path.name != ".lock"] == []


def test_a_full_disk_leaves_the_version_in_use_as_it_is(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, state: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    common = ("--versions", tmp_path / "models", "--bundle", old, "--budget", "1s")
    assert learn(scans, "--structure", "odd tumour", *common) == 0
    before = sorted(path for path in (tmp_path / "models").rglob("*"))
    monkeypatch.setattr(added_bundle, "save_weights", full)
    capsys.readouterr()
    assert learn(scans, "--structure", "odd cyst", *common) == 2
    told = capsys.readouterr().err
    assert "the disk is full" in told and told.count("\n") == 1
    assert sorted(path for path in (tmp_path / "models").rglob("*")) == before


def test_a_disk_without_room_is_told_before_the_work(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    common = ("--versions", tmp_path / "models", "--bundle", old, "--budget", "10m")
    assert learn(scans, "--structure", "odd tumour", *common) == 2
    assert "the disk is full" in capsys.readouterr().err


def test_a_parent_program_is_told_in_json_lines(old: Path, scans: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monai_semgan", "learn", str(scans), "--structure", "odd tumour", "--budget", "1s"]
    command += ["--versions", str(tmp_path / "models"), "--bundle", str(old), "--progress", "json", "--threads", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        lines = [json.loads(line) for line in child.stdout]
    assert child.returncode == 0
    learning = [line for line in lines if line.get("message") == "learning"]
    assert learning and learning[-1]["eta"] is not None
    assert (tmp_path / "models" / "1" / "models" / "added.pt").is_file()
