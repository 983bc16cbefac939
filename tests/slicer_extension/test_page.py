"""The result as a user sees it: rendered by Slicer's own display code in a page, looked at through a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import VolumeExport

from tests.slicer_extension.browser import Browser, near
from tests.slicer_extension.conftest import MODULE, REPOSITORY
from tests.slicer_extension.label_server import KEY, LabelServer
from tests.slicer_extension.scans import add_scan
from tests.slicer_extension.server_answers import LABELS

pytestmark = pytest.mark.slow

SECONDS = 420.0
COLOURS = {str(entry["name"]): tuple(entry["colour"]) for entry in LABELS}


@contextmanager
def page(address: str, scan: Path) -> Iterator[dict[str, Any]]:
    """Run a process that segments a scan and serves the page; yields its line of facts."""
    command = [sys.executable, "-m", "tests.slicer_extension.page", address, KEY, str(scan)]
    search = os.pathsep.join([str(REPOSITORY), str(MODULE), os.environ.get("PYTHONPATH", "")])
    log = scan.parent / "page.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": search}, stdout=stream, stderr=stream
        )
    try:
        yield _facts(process, log)
    finally:
        process.terminate()
        try:
            process.wait(50)
        except subprocess.TimeoutExpired:
            process.kill()


def _facts(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith('{"port"'):
                return json.loads(line)
        time.sleep(0.2)
    pytest.fail(f"no page:\n{log.read_text(errors='replace')[-3000:]}")


def check_picture(picture: np.ndarray) -> None:
    """Check that organs have their colours, the liver on the patient's right: on the left of an axial slice."""
    left_half = picture[:, : picture.shape[1] // 2]  # the slice; the surfaces stand beside it
    places = {}
    for name in ("liver", "spleen"):
        found = near(left_half, COLOURS[name])
        assert found.sum() > 300, f"{name} is not to be seen in its colour"
        places[name] = np.argwhere(found).mean(axis=0)
    body = np.argwhere(left_half.std(axis=-1) < 6)  # grey: the scan
    assert places["liver"][1] < places["spleen"][1] - 40
    assert places["liver"][1] < np.median(body[:, 1]) + left_half.shape[1] / 4


def liver_is_shown(picture: np.ndarray) -> bool:
    """Tell whether the slice is there."""
    return int(near(picture, COLOURS["liver"]).sum()) > 300


@pytest.mark.parametrize("kind", ["axial", "oblique", "flipped"])
def test_a_phantom_is_shown_with_its_organs_where_they_are(scene, server, tmp_path, kind):
    volume = add_scan(scene, kind, shape=(80, 56, 24) if kind != "oblique" else (40, 28, 16))
    scan = tmp_path / "scan.nrrd"
    scan.write_bytes(VolumeExport.file_of(VolumeExport.snapshot(volume), True))
    with page(server.address, scan) as facts, Browser(tmp_path / "profile") as browser:
        browser.open(f"http://127.0.0.1:{facts['port']}/")
        check_picture(browser.picture(tmp_path / "phantom.png", liver_is_shown))


SAMPLE = MODULE / "Resources" / "SampleData" / "semgan_synthetic_ct.nrrd"
"""A patient that the shipped model has made up; the module registers it as sample data."""


def test_a_synthetic_patient_segmented_by_the_shipped_model(tmp_path):
    scan = tmp_path / "scan.nrrd"
    scan.write_bytes(SAMPLE.read_bytes())
    with (
        LabelServer(tmp_path / "server", tmp_path / "studies") as server,
        page(server.address, scan) as facts,
        Browser(tmp_path / "profile") as browser,
    ):
        assert facts["volumes_ml"]["liver"] > 500
        browser.open(f"http://127.0.0.1:{facts['port']}/")
        check_picture(browser.picture(tmp_path / "patient.png", liver_is_shown))
