"""Real servers on loopback, in processes of their own, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.dicom_phantoms import datasets, write_series
from tests.free_ports import free_port
from tests.phantoms import grid, patient, save_nifti

START_SECONDS = 300
LEAVE_SECONDS = 20
"""A server that has not ended by then is killed."""

STOCK_APP = '''
import tempfile
import nibabel
import numpy as np
from monai.transforms import LoadImage
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType


class Bright(InferTask):
    """What is brighter than 100, in any image that MONAI can load; as slow as it is told to be."""

    def __init__(self):
        super().__init__(InferType.SEGMENTATION, {"bright": 1}, 3, "for tests")

    def is_valid(self):
        return True

    def __call__(self, request):
        import time
        time.sleep(request.get("seconds", 0))
        image = LoadImage(image_only=True)(request["image"])
        label = nibabel.Nifti1Image((image.numpy() > 100).astype(np.uint8), image.affine.numpy())
        file = tempfile.NamedTemporaryFile(suffix=".nii.gz", delete=False).name
        nibabel.save(label, file)
        return file, {"latencies": {"total": 0.0}}


class StockApp(MONAILabelApp):
    """Nothing of its own."""

    def init_infers(self):
        return {"semgan_preview": Bright()}
'''
"""An app as MONAI Label's own, to show what the stock server does with it."""

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Runs Python with a limit to the size of files, which fails to write as a full disk does."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: subprocess.Popen[Any]
    studies: Path
    home: Path
    sessions: Path

    def logged(self) -> str:
        """All that it has written: its output and the files of its log."""
        files = [self.home / "output.log", *self.home.glob("logs/*"), *self.studies.glob(".semgan/*.log*")]
        return "".join(path.read_text(errors="replace") for path in files if path.is_file())


def fill(folder: Path) -> Path:
    """A datastore with one oblique CT and one MR of the phantom."""
    folder.mkdir(parents=True, exist_ok=True)
    affine, shape = grid((8.0, 8.0, 12.0), codes="PSR", degrees=(0.0, 4.0, 7.0))
    save_nifti(folder / "ct.nii.gz", patient(affine, shape, seed=0).array, affine)
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPI")
    save_nifti(folder / "mr.nii.gz", patient(affine, shape, "MR", seed=0).array, affine)
    return folder


@contextlib.contextmanager
def start_monailabel(
    main: str,
    studies: Path | str,
    home: Path,
    *options: object,
    variables: Mapping[str, str] | None = None,
    kept: Path | None = None,
) -> Iterator[Server]:
    """`monailabel start_server` with an app of which `main` is the source; `kept` as of `start_semgan`."""
    app = home / "app"
    app.mkdir(parents=True)
    (app / "main.py").write_text(main)
    port = free_port()
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", app, "--studies", studies]
    command += ["--host", "127.0.0.1", "--port", str(port), *options]
    own = {"MONAI_LABEL_SESSION_PATH": str(home / "sessions"), **(variables or {})}
    with _process(command, home, own) as process:
        server = Server(f"http://127.0.0.1:{port}", process, kept or Path(studies), home, home / "sessions")
        _wait(server)
        yield server


@contextlib.contextmanager
def start_semgan(
    studies: Path | str,
    home: Path,
    *options: object,
    variables: Mapping[str, str] | None = None,
    largest_file: int | None = None,
    kept: Path | None = None,
) -> Iterator[Server]:
    """`semgan serve`, on any free port; with `largest_file` as if the disk were full beyond that.

    Of an archive, `studies` is the address and `kept` the folder of its labels.
    """
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "monai_semgan", "serve", studies, "--json", "--port", "0", *options]
    if largest_file is not None:
        command[1:1] = ["-c", LIMITED, largest_file]
    with _process(command, home, variables or {}) as process:
        address = _announced(process, home / "output.log")
        own = kept or Path(studies)
        yield Server(address, process, own, home, own / ".semgan" / "sessions")


@contextlib.contextmanager
def _process(command: list[object], home: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs in a folder of DICOM files: what a server takes that looks for a file where it was started."""
    search = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search, **variables}
    affine, shape = grid((20.0, 20.0, 20.0), codes="LPS")
    write_series(home / "elsewhere", datasets(patient(affine, shape).array, affine))
    with (home / "output.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, cwd=home / "elsewhere", env=environment
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(LEAVE_SECONDS)


def _announced(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server prints."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                return str(json.loads(line)["address"])
        time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.address}/info/", timeout=10).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{server.logged()[-3000:]}")
