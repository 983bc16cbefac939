"""A real MONAI Label server with the app, on loopback, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.phantoms import grid, patient, save_nifti

START_SECONDS = 120


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore with one oblique CT and one MR of the phantom."""
    folder = tmp_path_factory.mktemp("studies")
    affine, shape = grid((8.0, 8.0, 12.0), codes="PSR", degrees=(0.0, 4.0, 7.0))
    save_nifti(folder / "ct.nii.gz", patient(affine, shape, seed=0).array, affine)
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPI")
    save_nifti(folder / "mr.nii.gz", patient(affine, shape, "MR", seed=0).array, affine)
    return folder


@pytest.fixture(scope="session")
def server(studies: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a plain `monailabel start_server` with a copy of the app's folder, which the server writes into."""
    app = tmp_path_factory.mktemp("app")
    (app / "main.py").write_bytes((REPOSITORY / "monai_semgan" / "label_app" / "main.py").read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", app, "--studies", studies]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "bundle", tiny_bundle]
    search = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    with (app / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=app, env={**os.environ, "PYTHONPATH": search})
        try:
            yield _wait(f"http://127.0.0.1:{port}", process, app / "server.log")
        finally:
            process.terminate()
            process.wait(20)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/info/", timeout=10).close()
            return address
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
