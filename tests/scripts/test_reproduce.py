"""Training the shipped model again: followed from the record, in parts, and installed only if it is better."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.errors import SemganError
from scripts import reproduce
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE

SCRIPT = REPOSITORY / "scripts" / "reproduce.py"
PATIENTS = ["ct_00", "ct_21", "ct_15", "ct_12"]


def script(*options: str) -> list[str]:
    """The command line."""
    return [sys.executable, str(SCRIPT), *options]


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files of a folder by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def measured(**dice: float) -> dict[str, dict[str, Any]]:
    """Studies of the validation patients with a mean Dice by mode."""
    patients = [{"patient": name} for name in PATIENTS]
    return {mode: {"patients": patients, "dice": {"mean": value}} for mode, value in dice.items()}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run that is killed while it trains, goes on for a part, and is then done in one call."""
    bundle = shutil.copytree(SHIPPED_BUNDLE, tmp_path_factory.mktemp("shipped") / "bundle")
    out = tmp_path_factory.mktemp("run") / "out"
    options = ("--smoke", "--out", str(out), "--bundle", str(bundle), "--device", "cpu")
    found: dict[str, Any] = {"out": out, "bundle": bundle, "before": contents(bundle), "options": options}
    process = subprocess.Popen(script(*options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    gan = out / "runs" / "main" / "gan" / "record.json"
    until = time.monotonic() + 300
    while not gan.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    found["killed"] = process.wait()
    found["part"] = subprocess.run(script(*options, "--part", "1s"), capture_output=True, text=True)
    found["after_part"] = json.loads((out / "reproduce.json").read_text())
    found["rest"] = subprocess.run(script(*options, "--install"), capture_output=True, text=True)
    found["state"] = json.loads((out / "reproduce.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
class TestSmoke:
    """The whole way on generated patients."""

    def test_a_run_that_was_killed_goes_on_and_a_part_ends_with_130(self, smoke: dict[str, Any]) -> None:
        assert smoke["killed"] == -signal.SIGKILL
        assert smoke["part"].returncode == 130, smoke["part"].stderr
        assert "the same command goes on" in smoke["part"].stdout
        assert not smoke["after_part"]["finished"]

    def test_at_the_end_every_mode_has_figures_and_the_copy_is_filled(self, smoke: dict[str, Any]) -> None:
        state = smoke["state"]
        assert state["finished"], smoke["rest"].stderr
        assert set(state["dice"]) == set(state["scoring_seconds"]) == {"encoder", "preview", "invert", "refine"}
        assert [one["step"] for one in state["trainings"].values()] == [3, 3, 3]
        assert {"torch", "monai"} <= set(state["versions"]) and state["machine"]["device"] == "cpu"
        record = json.loads((smoke["out"] / "bundle" / "models" / "model.json").read_text())
        assert record["dice"]["validation"]["preview"] == pytest.approx(state["dice"]["preview"], abs=1e-4)
        assert [one["stage"] for one in record["training"]] == ["gan", "encoder", "student"]
        assert (smoke["out"] / "bundle" / "models" / "model.pt").read_bytes() != smoke["before"]["models/model.pt"]

    def test_the_bundle_is_not_touched_when_the_patients_are_others(self, smoke: dict[str, Any]) -> None:
        assert smoke["rest"].returncode == 2
        assert "not installed: the record has no figures of these patients" in smoke["rest"].stderr
        assert len(smoke["rest"].stderr.strip().splitlines()[-1:]) == 1
        assert contents(smoke["bundle"]) == smoke["before"]

    def test_the_copy_can_be_reproduced_in_turn(self, smoke: dict[str, Any]) -> None:
        plan = reproduce.read_plan(smoke["out"] / "bundle", "1m")
        assert [(one.stage, one.steps, one.budget) for one in plan] == [(stage, 3, None) for stage in reproduce.STAGES]


def test_the_plan_is_the_shipped_record_with_the_generator_first() -> None:
    plan = reproduce.read_plan(SHIPPED_BUNDLE, "25m")
    records = json.loads((SHIPPED_BUNDLE / "models" / "model.json").read_text())["training"]
    assert [one.stage for one in plan] == ["gan", "encoder", "student"]
    assert plan[0].budget == "25m" and plan[0].settings["latent_dim"] == 256 and plan[0].settings["size"] == 128
    for training in plan[1:]:
        pieces = [one for one in records if one["stage"] == training.stage]
        assert training.settings == pieces[-1]["settings"]
        batch = training.settings["batch_size"]
        assert training.steps == pytest.approx(sum(one["images"] for one in pieces) / batch, abs=1)
    assert {one.settings["num_classes"] for one in plan} == {12}


def test_a_training_takes_the_recorded_settings_from_the_command_line(tmp_path: Path) -> None:
    training = reproduce.Training("student", {"generated_fraction": 0.25, "labelled": -1, "num_classes": 12}, 1000)
    arguments = reproduce.train_arguments(training, tmp_path)
    assert arguments[arguments.index("--steps") + 1] == "1000"
    assert "generated_fraction=0.25" in arguments and "--labelled" not in arguments and "--init" not in arguments


def test_better_is_no_mode_below_the_record_and_one_above() -> None:
    record = json.loads((SHIPPED_BUNDLE / "models" / "model.json").read_text())
    same = {m: record["accuracy"]["ct"]["methods"][m]["dice"]["mean"] for m in reproduce.MODES}
    assert not reproduce.comparison(measured(**same), record)["better"]
    better = reproduce.comparison(measured(**{**same, "preview": 0.99}), record)
    assert better["better"]
    assert better["reason"] == f"mean Dice above the record's: preview 0.9900, {same['preview']:.4f}"
    mixed = reproduce.comparison(measured(**{**same, "preview": 0.99, "invert": 0.3}), record)
    assert not mixed["better"]
    assert mixed["reason"] == f"mean Dice below the record's: invert 0.3000, {same['invert']:.4f}"


def test_a_better_copy_takes_the_place_of_the_bundle(tmp_path: Path) -> None:
    copy, bundle = tmp_path / "out" / "bundle", tmp_path / "shipped"
    for folder, text in ((copy, "new"), (bundle, "old")):
        folder.mkdir(parents=True)
        (folder / "model").write_text(text)
    (bundle / "left over").write_text("old")
    good = {"finished": True, "comparison": {"better": True, "reason": "mean Dice above the record's"}}
    with pytest.raises(SemganError, match="nothing to install yet"):
        reproduce.install(copy, bundle, {"finished": False})
    reproduce.install(copy, bundle, good)
    assert contents(bundle) == {"model": b"new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "shipped"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--out", "x"), "give --data LIST, or --smoke"),
        (("--data", "missing.json", "--out", "x"), "missing.json: no such data list"),
        (("--smoke",), "give --out DIR"),
        (("--smoke", "--out", "x", "--part", "soon"), "'soon' is no time such as 9m"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        reproduce.main(options)
    assert left.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_was_begun_with_other_patients_is_refused(tmp_path: Path) -> None:
    plan = reproduce.smoke_plan(reproduce.read_plan(SHIPPED_BUNDLE, "1m"))
    reproduce.State.read(tmp_path, plan, "patients one").update()
    with pytest.raises(SemganError, match="begun with other patients"):
        reproduce.State.read(tmp_path, plan, "patients two")
    with pytest.raises(SemganError, match="another record or other settings"):
        reproduce.State.read(tmp_path, plan[:2], "patients one")
    assert reproduce.State.read(tmp_path, plan, "patients one").content["patients"] == "patients one"
