"""What the benchmarks of the label server share: a server of their own, a small client of the job API, latencies."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests

ENDED = ("done", "cancelled", "interrupted", "failed")
MEGABYTE = 2**20


@dataclass
class Server:
    """A running `semgan serve`.

    Attributes:
        address: without a slash at the end.
        process: of the server.
        started: `time.perf_counter` just before its start.
    """

    address: str
    process: psutil.Process
    started: float


@contextmanager
def serving(studies: Path, *options: str) -> Iterator[Server]:
    """A server with a folder of studies, until the end of the block; returns once it tells its address."""
    command = [sys.executable, "-m", "monai_semgan", "serve", str(studies), "--json", *options]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        yield Server(json.loads(line)["address"], psutil.Process(process.pid), started)
    finally:
        process.terminate()
        process.wait(30)


class Client:
    """The job API, and the stock routes that need no client of MONAI Label; one thread each.

    Args:
        address: of the server; `$SEMGAN_API_KEY` is sent if it is set.
    """

    def __init__(self, address: str) -> None:
        self.address, self.session = address, requests.Session()
        if key := os.environ.get("SEMGAN_API_KEY"):
            self.session.headers["X-API-Key"] = key

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            requests.HTTPError: if the answer is not a success.
        """
        answer = self.session.request(method, f"{self.address}{path}", **{"timeout": 120, **options})
        answer.raise_for_status()
        return answer

    def get(self, path: str) -> Any:
        """JSON of a path."""
        return self.ask("GET", path).json()

    def upload(self, file: Path) -> str:
        """Send a NIfTI file; returns the upload's id."""
        suffix = ".nii.gz" if file.name.endswith(".gz") else ".nii"
        headers = {"Content-Type": "application/octet-stream"}
        with file.open("rb") as stream:
            answer = self.ask("POST", "/semgan/uploads", params={"suffix": suffix}, data=stream, headers=headers)
        return str(answer.json()["id"])

    def submit(self, **request: Any) -> str:
        """Queue a job; returns its id."""
        return str(self.ask("POST", "/semgan/jobs", json={**request, "client": "benchmark"}).json()["id"])

    def wait(self, job: str, every: float = 0.2, version: int | None = None) -> dict[str, Any]:
        """Poll a job until it has ended, or until it has a result of at least a version."""
        while True:
            state: dict[str, Any] = self.get(f"/semgan/jobs/{job}")
            if state["state"] in ENDED or (version is not None and state["result_version"] >= version):
                return state
            time.sleep(every)

    def wait_until_warm(self) -> None:
        """Poll until the model is warm."""
        while not self.get("/semgan/health")["ready"]:
            time.sleep(0.1)


@dataclass
class Latencies:
    """Seconds of requests, by what was asked."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block; nothing is noted if it fails."""
        started = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def summary(self) -> dict[str, dict[str, float]]:
        """Number, median, 95th percentile and maximum in ms."""
        return {
            name: {
                "requests": len(values),
                "median_ms": round(1000 * statistics.median(values), 1),
                "p95_ms": round(1000 * sorted(values)[int(0.95 * (len(values) - 1))], 1),
                "max_ms": round(1000 * max(values), 1),
            }
            for name, values in self.seconds.items()
        }


class MemoryWatch(threading.Thread):
    """Highest sum of the resident memory of a process and its children, while the block runs.

    Pages that processes share count once for each of them.
    """

    def __init__(self, process: psutil.Process, every: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.process, self.every, self.peak = process, every, 0
        self._ended = threading.Event()

    def __enter__(self) -> MemoryWatch:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look now and then."""
        while not self._ended.wait(self.every):
            self.peak = max(self.peak, resident(self.process))


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
