"""Real servers with the job API, in processes of their own, with workers that really compute."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.phantoms import grid, patient, save_nifti

START_SECONDS = 300
LEAVE_SECONDS = 100
"""Only so that a server that hangs ends the test."""
ENDED = ("done", "cancelled", "interrupted", "failed")
BYTES = {"content-type": "application/octet-stream"}

Serve = Callable[..., "Server"]


@dataclass
class Server:
    """A server, as a client sees it, and what only a test may do to it."""

    process: subprocess.Popen[bytes]
    address: str
    studies: Path
    log: Path
    session: Any = field(repr=False, default=None)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """A response."""
        return self.session.request(method, f"{self.address}/semgan{path}", timeout=120, **options)

    def get(self, path: str, **options: Any) -> Any:
        """A response to GET."""
        return self.ask("GET", path, **options)

    def submit(self, **request: Any) -> str:
        """Id of a new job."""
        response = self.ask("POST", "/jobs", json=request)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def upload(self, content: bytes, suffix: str = ".nii.gz") -> Any:
        """Response to an upload."""
        return self.ask("POST", "/uploads", params={"suffix": suffix}, data=content, headers=BYTES)

    def job(self, job: str) -> dict[str, Any]:
        """A job."""
        response = self.get(f"/jobs/{job}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait(self, job: str, wanted: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """A job when it has ended, or is as wanted."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = self.job(job)
            if (wanted is None and found["state"] in ENDED) or (wanted is not None and wanted(found)):
                return found
            assert found["state"] not in ENDED, found
            time.sleep(0.05)
        pytest.fail(f"waited too long: {found}")

    def done(self, job: str) -> dict[str, Any]:
        """A job when it has ended well."""
        found = self.wait(job)
        assert found["state"] == "done", f"{found}\n{self.log.read_text()[-3000:]}"
        return found

    def reported(self, job: str) -> dict[str, Any]:
        """A job when it has ended and its report, which comes last, is there."""
        self.wait(job)
        deadline = time.monotonic() + START_SECONDS
        while "report" not in (found := self.job(job))["parts"] and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def running(self, **request: Any) -> str:
        """Id of a job that has a partial result and goes on for a long time."""
        job = self.submit(**{"image": "ct", "mode": "invert", "steps": 10_000, **request})
        self.wait(job, lambda found: found["result_version"] > 0 and found["step"] > 1)
        return job

    def workers(self) -> list[Any]:
        """The worker processes."""
        import psutil

        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # those that read a scan end at any time
                if "monai_semgan.jobs.workers.worker" in child.cmdline():
                    found.append(child)
        return found

    def kill(self) -> None:
        """As a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def folder(self, job: str) -> Path:
        """Where a job lies on disk."""
        return self.studies / ".semgan" / "jobs" / job


STARTED: list[Server] = []
"""Servers that run, in the order of their start."""


@pytest.fixture(scope="session")
def serve(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers: `serve(studies, **options of ServiceSettings)`; `before` runs in the process first.

    They end with the test, or the module's fixture, that has started them: dozens at once would fill the memory.
    """
    import requests

    def start(
        studies: Path, before: Callable[[], None] | None = None, bundle: Path = tiny_bundle, **options: Any
    ) -> Server:
        log = tmp_path_factory.mktemp("server") / "log"
        given = json.dumps({"partial_seconds": 0.2, **options})
        # the server inherits the socket, so that nobody else can take its port
        with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as stream:
            port, number = listener.getsockname()[1], listener.fileno()
            command = [sys.executable, "-m", "tests.jobs.serving", studies, bundle, str(number), given]
            process = subprocess.Popen(
                command,
                stdout=stream,
                stderr=stream,
                cwd=REPOSITORY,
                env=os.environ,
                preexec_fn=before,
                pass_fds=[number],
            )
        server = Server(process, f"http://127.0.0.1:{port}", studies, log, requests.Session())
        STARTED.append(server)
        return _wait(server)

    yield start
    _end_all_but(0)


@pytest.fixture(autouse=True, scope="module")
def _servers_of_the_module() -> Iterator[None]:
    """End servers of the module's fixtures: what is set up for the session, or before, is none of them."""
    before = len(STARTED)
    yield
    _end_all_but(before)


@pytest.fixture(autouse=True)
def _servers_of_the_test() -> Iterator[None]:
    """End servers that the test itself has started; fixtures of wider scope have started theirs before."""
    before = len(STARTED)
    yield
    _end_all_but(before)


def _end_all_but(first: int) -> None:
    """End the servers that were started after the first few."""
    ended = STARTED[first:]
    del STARTED[first:]
    for server in ended:
        server.process.terminate()
    for server in ended:
        server.process.wait(LEAVE_SECONDS)


@pytest.fixture(scope="session")
def make_studies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes folders with an oblique CT and an MR of the phantom, whose names tell of a patient."""
    affine, shape = grid((8.0, 8.0, 12.0), codes="PSR", degrees=(0.0, 4.0, 7.0))
    ct = patient(affine, shape, seed=0).array
    other, other_shape = grid((8.0, 8.0, 12.0), codes="LPI")
    mr = patient(other, other_shape, "MR", seed=0).array

    def make() -> Path:
        folder = tmp_path_factory.mktemp("mustermann_erika")
        save_nifti(folder / "ct.nii.gz", ct, affine)
        save_nifti(folder / "mr.nii.gz", mr, other)
        return folder

    return make


@pytest.fixture(scope="session")
def server(serve: Serve, make_studies: Callable[[], Path]) -> Iterator[Server]:
    """A server that tests share and leave as it was."""
    shared = serve(make_studies(), upload_limit_bytes=4_000_000)
    STARTED.remove(shared)  # it outlives the test that asks for it first
    yield shared
    shared.process.terminate()
    shared.process.wait(LEAVE_SECONDS)


def hashes(studies: Path) -> dict[str, str]:
    """Of the images of a datastore."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(studies.glob("*.nii.gz"))}


def _end(servers: list[Server]) -> None:
    for server in servers:
        server.process.terminate()
    for server in servers:
        server.process.wait(LEAVE_SECONDS)


def _wait(server: Server) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.get("/health")
            return server
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{server.log.read_text()[-3000:]}")
