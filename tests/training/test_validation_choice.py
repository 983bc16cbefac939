"""A run whose list names no validation holds some patients out, in all its stages, and says whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.errors import SemganError
from tests.training.phantoms import TINY, train, write_patients

SHORT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0, "steps": 2}


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Five labelled patients and one without label, all in the training list."""
    path = write_patients(tmp_path / "data", training=6, unlabelled=1, validation=0)
    content = json.loads(path.read_text())
    del content["validation"]
    path.write_text(json.dumps(content))
    return path


def sections(run: Path) -> dict[str, set[str]]:
    record = json.loads((run / "student" / "record.json").read_text())
    return {name: set(patients) for name, patients in record["data"]["sections"].items()}


def test_a_patient_is_held_out_and_recorded(listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (result,) = train("student", listed, tmp_path / "run", **SHORT)
    (held_out,) = sections(tmp_path / "run")["validation"]
    assert "dice" in result.metrics
    assert f"validation is taken from the training list: {held_out} (1 of 5 labelled patients" in caplog.text
    assert held_out not in sections(tmp_path / "run")["training"] and held_out != "p5"


def test_a_run_goes_on_with_the_patients_it_was_begun_with(listed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train("student", listed, run, **SHORT)
    before = sections(run)
    train("student", listed, run, **{**SHORT, "steps": 3}, resume=True, seed=0)
    assert sections(run) == before


def test_a_run_that_was_begun_without_validation_goes_on_without(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as older:
        older.setattr("monai_semgan.data.splits.LEAST_LABELLED", 99)
        train("student", listed, run, **SHORT)
    assert sections(run)["validation"] == set()
    train("student", listed, run, **{**SHORT, "steps": 3}, resume=True)
    assert sections(run)["validation"] == set()


def test_folds_take_every_labelled_patient_once(listed: Path, tmp_path: Path) -> None:
    held_out = []
    for number in (1, 2):
        run = tmp_path / str(number)
        train("student", listed, run, **SHORT, fold=f"{number}/2")
        held_out += sections(run)["validation"]
    assert sorted(held_out) == ["p0", "p1", "p2", "p3", "p4"]


def test_another_fold_in_the_same_run_is_refused(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", **SHORT, fold="1/2")
    with pytest.raises(SemganError, match=r"patient p\d was in"):
        train("student", listed, tmp_path / "run", **SHORT, fold="2/2", resume=True)


def test_what_partial_labels_know_is_recorded(tmp_path: Path) -> None:
    path = write_patients(tmp_path / "data")
    content = json.loads(path.read_text()) | {"labels": {"1": "liver", "2": "spleen"}}
    content["training"][1]["labelled"] = ["spleen"]
    path.write_text(json.dumps(content))
    train("student", path, tmp_path / "run", **SHORT)
    record = json.loads((tmp_path / "run" / "student" / "record.json").read_text())
    assert record["data"]["partly_labelled"] == {"p1": ["spleen"]}
    content["training"][1]["labelled"] = ["spleen", "liver"]
    path.write_text(json.dumps(content))
    with pytest.raises(SemganError, match="p1"):
        train("student", path, tmp_path / "run", **SHORT, resume=True)
