"""The benchmark of cohorts runs through, and tells what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_a_tree_against_itself_gives_the_same_voxels(ct_scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "cohort.py"), str(REPOSITORY), str(REPOSITORY)]
    options = ["--scan", ct_scan, "--scans", 3, "--jobs", 2, "--bundle", tiny_bundle, "--json", tmp_path / "found.json"]
    run = subprocess.run([*command, *map(str, options)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["differing"] == 0.0 and found["scans"] == 3 and found["jobs"] == 2
    assert set(found["figures"]) == {"first", "further", "processor", "pss"}
    assert all(one["old"] > 0 and one["new"] > 0 for name, one in found["figures"].items() if name != "pss")
