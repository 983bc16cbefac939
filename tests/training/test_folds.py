"""`semgan train --folds N`: every labelled patient is scored once, by a student that has not seen them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from monai_semgan import load_bundle
from monai_semgan.authoring.make import make_bundle
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.networks import StudentEnsemble, StudentUNet, build_student
from monai_semgan.networks.weights import load_weights, part
from monai_semgan.slicing.model_settings import find_settings
from monai_semgan.training import run
from monai_semgan.training.engine import schedule
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.loop import StageResult
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.folds import FoldScore, FoldsSummary, train_folds, write_ensemble
from monai_semgan.training.training_settings import TrainSettings
from tests.training.phantoms import TINY, train, write_patients

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.0}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five labelled training patients and one without label, no validation; the labels have names."""
    path = write_patients(tmp_path_factory.mktemp("folds"), training=6, unlabelled=1, validation=0)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "labels": {"1": "liver", "2": "spleen"}}))
    return path


@pytest.fixture(scope="module")
def trained(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation of three folds."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train_folds("student", listed, out, TrainSettings.gather({**STUDENT, "steps": 12}), 3)
    return out


def told(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "folds.json").read_text())
    return found


def test_every_labelled_patient_is_scored_once_and_never_trained_on_where_scored(trained: Path) -> None:
    scored = []
    for number in (1, 2, 3):
        data = json.loads((trained / f"fold_{number}" / "student" / "record.json").read_text())["data"]
        assert not set(data["labelled"]) & set(data["validation"]) and data["unlabelled"] == ["p5"]
        scored += data["validation"]
    assert sorted(scored) == ["p0", "p1", "p2", "p3", "p4"] == sorted(told(trained)["patients"])


def test_the_summary_tells_mean_and_spread_over_folds_by_organ(trained: Path) -> None:
    summary = told(trained)
    by_fold = [fold["organs"]["spleen"] for fold in summary["folds"]]
    assert summary["finished"] and summary["stage"] == "student"
    assert summary["over_folds"]["spleen"]["mean"] == pytest.approx(sum(by_fold) / 3, abs=1e-4)
    assert summary["over_folds"]["spleen"]["folds"] == 3 and list(summary["over_folds"]) == ["dice", "liver", "spleen"]


def test_the_students_of_all_folds_are_averaged_in_a_bundle(trained: Path, tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(trained, tmp_path / "bundle"), "cpu")
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 3, 32, 32)
    for number in (1, 2, 3):
        member = StudentUNet(1, 3, (8, 16)).eval()
        member.load_state_dict(part(load_weights(trained / f"fold_{number}" / "student" / "weights.pt"), "student"))
        expected += member(image).softmax(1).detach() / 3
    assert torch.allclose(bundle.network(image).softmax(1), expected, atol=1e-5)
    record = json.loads((tmp_path / "bundle" / "models" / "model.json").read_text())
    assert record["training"]["student"]["data"]["validation"] == 5
    assert record["training"]["student"]["metrics"]["dice"] == told(trained)["over_folds"]["dice"]["mean"]


def test_a_training_that_begins_with_averaged_students_takes_the_first(
    listed: Path, trained: Path, tmp_path: Path
) -> None:
    settings = {**STUDENT, "steps": 1, "learning_rate": 1e-12, "init": trained / "model.pt"}
    train("student", listed, tmp_path, **settings)
    first, new = (load_weights(run / "student" / "weights.pt") for run in (trained / "fold_1", tmp_path))
    assert all(torch.allclose(first[name], new[name], atol=1e-3) for name in first)
    (ancestor,) = json.loads((tmp_path / "data.json").read_text())["ancestors"]
    assert ancestor["labelled"] == json.loads((trained / "fold_1" / "data.json").read_text())["labelled"]


def test_folds_that_were_stopped_go_on_with_the_next_call(listed: Path, tmp_path: Path) -> None:
    settings = {**STUDENT, "steps": 6, "resume": True}
    results, summary = train_folds("student", listed, tmp_path, TrainSettings.gather({**settings, "slot": 1e-3}), 2)
    assert [result.finished for result in results] == [False] and not summary.finished
    assert not (tmp_path / "fold_2").exists() and not (tmp_path / "model.pt").exists()
    results, summary = train_folds("student", listed, tmp_path, TrainSettings.gather(settings), 2)
    assert [result.steps for result in results] == [6, 6] and summary.finished
    assert (tmp_path / "model.pt").exists()


def test_a_fold_that_another_process_trains_is_left_alone(listed: Path, tmp_path: Path) -> None:
    settings = TrainSettings.gather({**STUDENT, "steps": 1})
    alone = Workers(torch.device("cpu"))
    with locked_run(tmp_path / "fold_1", alone), pytest.raises(SemganError, match="another process trains"):
        train_folds("student", listed, tmp_path, settings, 2)


def test_the_folds_share_one_cache_and_the_time(trained: Path) -> None:
    assert len(list((trained / "cache").glob("*.pt"))) == 6
    assert not list(trained.glob("fold_*/cache"))


def test_the_budget_is_that_of_all_folds(listed: Path, tmp_path: Path) -> None:
    results, _ = train_folds("student", listed, tmp_path, TrainSettings.gather({**STUDENT, "budget": "2s"}), 2)
    assert len(results) == 2 and sum(result.seconds for result in results) < 3.0


def test_a_slot_is_that_of_all_stages_and_folds_together(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slots = [0.0], []

    def stage_of_25_minutes(name: str, data: Any, out: Path, settings: TrainSettings, *_: Any) -> StageResult:
        slots.append(settings.slot)
        now[0] += 25 * 60
        return StageResult(name, out, 1, 1.0, 1, True, False, {})

    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(run, "run_stage", stage_of_25_minutes)
    settings = TrainSettings.gather({**TINY, "steps": 1, "slot": "1h"})
    run.train("all", listed, tmp_path / "all", settings)
    assert slots[:2] == [3600.0, 2100.0] and all(0 < left <= 600 for left in slots[2:])
    slots.clear()
    train_folds("student", listed, tmp_path / "folds", settings, 2)
    assert slots == [3600.0, 2100.0]


def test_averaged_students_are_for_the_modalities_of_all_folds(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    for number, modality in ((1, ("CT",)), (2, ("MR",)), (3, ("CT",))):
        settings = find_settings(tmp_path / "run" / f"fold_{number}")
        assert settings is not None
        replace(settings, modality=modality).save(tmp_path / "run" / f"fold_{number}" / "settings.json")
    write_ensemble(tmp_path / "run", 3)
    averaged = find_settings(tmp_path / "run")
    assert averaged is not None and averaged.modality == ("CT", "MR")


@pytest.mark.parametrize(
    ("count", "settings", "words"),
    [
        (1, {}, "1 folds are too few; give --folds 2 or more"),
        (9, {}, "has 5 labelled patients, too few for 9 folds"),
        (2, {"fold": "1/2"}, "leave out --fold or --folds"),
    ],
)
def test_folds_that_cannot_be_are_told(
    listed: Path, tmp_path: Path, count: int, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SemganError, match=words):
        train_folds("student", listed, tmp_path, TrainSettings.gather({**STUDENT, "steps": 1, **settings}), count)
    assert not (tmp_path / "folds.json").exists()


def test_the_command_line_prints_a_table(listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(listed.parent, tmp_path / "data")
    command = ["train", "student", "--data", str(tmp_path / "data" / listed.name), "--out", str(tmp_path / "run")]
    command += ["--size", "32", "--pixel-mm", "10", "--steps", "2", "--folds", "2", "--quiet", "--device", "cpu"]
    assert main([*command, "--set", "channels=[8,16]"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0] == ["fold", "dice", "liver", "spleen"]
    assert [line[0] for line in lines[1:5]] == ["1/2", "2/2", "mean", "spread"]
    assert "fold_2/student: finished after 2 steps" in shown


def test_a_table_shows_what_is_not_known_as_a_line() -> None:
    folds = [FoldScore("1/2", True, 0.5, {"liver": None}), FoldScore("2/2")]
    assert FoldsSummary("student", folds).table() == [
        "fold     dice  liver",
        "1/2     0.500      -",
        "2/2         -      -",
        "mean    0.500      -",
        "spread      -      -",
    ]


def test_the_mean_of_students_is_one_of_probabilities_and_can_be_scripted() -> None:
    torch.manual_seed(0)
    network = build_student(1, 3, (4, 8), members=3).eval()
    assert isinstance(network, StudentEnsemble)
    image = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        mean = torch.stack([member(image).softmax(1) for member in network.members]).mean(0)
        assert torch.allclose(network(image).softmax(1), mean, atol=1e-6)
        assert torch.allclose(torch.jit.script(network)(image), network(image), atol=1e-6)
