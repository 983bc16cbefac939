"""The benchmark of training runs through and compares like with like."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY


def test_a_tree_against_itself_trains_every_stage_to_the_same_losses(tmp_path: Path) -> None:
    script = [sys.executable, str(REPOSITORY / "benchmarks" / "training.py"), str(REPOSITORY), str(REPOSITORY)]
    options = ["--tiny", "--threads", "1", "--steps", "1", "--rounds", "1", "--out", str(tmp_path / "record.json")]
    subprocess.run([*script, *options], check=True, capture_output=True, cwd=tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert [row["stage"] for row in record["stages"]] == ["gan", "encoder", "student"]
    for row in record["stages"]:
        old, new = row["first_losses"]
        assert len(old) == 2 and old == new
        assert row["processor_ms_per_image"]["ratio"] > 0 and row["peak_mib"]["new"] > 0
