"""Many clients at once: the short version of `benchmarks/label_load.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

pytestmark = [pytest.mark.label, pytest.mark.slow]
SECONDS = 12


def test_eight_clients_and_three_queued_jobs_meet_no_error(studies: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    for path in studies.glob("*.nii.gz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "load.json"
    command = [sys.executable, REPOSITORY / "benchmarks" / "label_load.py", "--studies", tmp_path]
    command += ["--bundle", tiny_bundle, "--seconds", str(SECONDS), "--out", out]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found = json.loads(out.read_text())
    assert found["errors"] == 0 and found["clients"] == 8 and found["jobs_queued"] == 3
    assert set(found["jobs"]) <= {"done", "cancelled"} and sum(found["jobs"].values()) >= 3
    assert all(found["latencies"][name]["requests"] > 8 for name in ("info", "health", "jobs", "job"))
