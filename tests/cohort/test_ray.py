"""The example for Ray: a cluster of two processes on this machine, one of which is killed, and a real archive."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_semgan.cli import main
from monai_semgan.cohort.attempts import ATTEMPTS, BEGUN
from tests.conftest import REPOSITORY
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.dicomweb.phantom_series import write_ct

pytest.importorskip("ray")

COUNT = 4


@contextlib.contextmanager
def running(source: str, out: Path, bundle: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the example until the block ends; its cluster listens on 127.0.0.1 and ends with it."""
    script = REPOSITORY / "examples" / "ray_cohort.py"
    words = [source, str(out), "--bundle", str(bundle), "--workers", "2", "--cpus", "1", "--send"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-W", "ignore", str(script), *words]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as Ray's sockets need one."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def kill_worker(process: subprocess.Popen[str], out: Path, name: str = "*", *, but: str = "", begun: int = 1) -> str:
    """Kill a worker that is at a scan, as the first or a later one; returns the scan."""
    while process.poll() is None:
        for mark in out.glob(f".cohort/{BEGUN}/{name}.json"):
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                content = json.loads(mark.read_text())
                if content["begun"] == begun and mark.stem != but:
                    os.kill(content["process"], signal.SIGKILL)
                    return mark.stem
        time.sleep(0.005)
    raise AssertionError(process.communicate()[1])


def studies_of_results(archive: Orthanc) -> list[str]:
    """The study of each segmentation that the archive holds."""
    series = [archive.rest(f"/series/{name}") for name in archive.rest("/series")]
    return [one["ParentStudy"] for one in series if one["MainDicomTags"]["Modality"] == "SEG" for _ in one["Instances"]]


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "cohort.csv", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


@needs_orthanc
def test_workers_that_are_killed_are_replaced_and_every_result_is_sent_once(
    tiny_bundle: Path, tmp_path: Path, short: Path
) -> None:
    """One dies at a scan once; at another scan, all of them."""
    with Orthanc(tmp_path / "archive") as archive:
        for number in range(COUNT):
            archive.store([write_ct(tmp_path / "ct" / str(number), spacing=(12.0, 12.0, 20.0), SeriesNumber=number)])
        out, source = tmp_path / "out", f"dicomweb:{archive.url}"
        with running(source, out, tiny_bundle, short) as process:
            once = kill_worker(process, out)
            always = kill_worker(process, out, but=once)
            for begun in range(2, ATTEMPTS + 1):
                kill_worker(process, out, always, begun=begun)
            output, error = process.communicate(timeout=240)
        assert process.returncode == 3, output + error
        rows = table(out)
        failed = rows.pop(always)
        assert failed["status"] == "failed" and "has died 3 times; perhaps memory ran out" in failed["message"]
        assert len(rows) == COUNT - 1 and once in rows
        assert {(row["status"], row["sent"]) for row in rows.values()} == {("done", "sent")}
        assert "Ray at 127.0.0.1" in output.splitlines(), "it listens to nobody else"
        told = [line.split(":")[0] for line in output.splitlines() if line.startswith("ct_")]
        assert sorted(told) == sorted([*rows, always]), "each is told once"
        assert len(studies_of_results(archive)) == COUNT - 1
        again = ["segment", source, "-o", str(out), "--bundle", str(tiny_bundle), "--send"]
        assert main(again) == 0, "what failed is tried again by the command line"
        assert {(row["status"], row["sent"]) for row in table(out).values()} == {("done", "sent")}
        studies = studies_of_results(archive)
        assert len(studies) == len(set(studies)) == COUNT
