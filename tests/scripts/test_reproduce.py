"""Training the shipped model again: followed from the record, in parts, and installed only if it is better."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from reproduction.training_plan import STAGES, read_plan

from scripts import reproduce
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE
from tests.scripts.folder_bytes import contents

SCRIPT = REPOSITORY / "scripts" / "reproduce.py"


def script(*options: str) -> list[str]:
    """The command line."""
    return [sys.executable, str(SCRIPT), *options]


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
        plan = read_plan(smoke["out"] / "bundle", "1m")
        assert [(one.stage, one.steps, one.budget) for one in plan] == [(stage, 3, None) for stage in STAGES]


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
