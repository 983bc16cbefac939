"""The real server, `semgan serve`, in the environment of the label server and a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 240
KEY = "a-key-of-the-tests-0123"
TINY = "from pathlib import Path; from tests.conftest import make_tiny_bundle; make_tiny_bundle(Path({folder!r}))"


def label_python() -> Path | None:
    """Find the interpreter of the environment with MONAI Label; None where there is none."""
    named = os.environ.get("SEMGAN_LABEL_PYTHON")
    python = Path(named) if named else REPOSITORY / ".venv-label" / "bin" / "python"
    return python if python.exists() else None


def label_python_or_skip() -> Path:
    """Find the interpreter; tests that need it are skipped without."""
    python = label_python()
    if python is None:
        pytest.skip("needs the label server's environment, which scripts/run_tests.py makes ($SEMGAN_LABEL_PYTHON)")
    return python


def tiny_bundle(folder: Path) -> Path:
    """Make a bundle with a tiny network, by the environment that has torch."""
    command = [str(label_python_or_skip()), "-c", TINY.format(folder=str(folder))]
    subprocess.run(command, cwd=REPOSITORY, env=_environment(), check=True, capture_output=True)
    return folder


def _environment(key: str = KEY) -> dict[str, str]:
    search = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1", "SEMGAN_API_KEY": key}


class LabelServer:
    """Runs while it is used as a context manager; may be killed and started again on the same port.

    Args:
        home: for logs and what the server does not keep.
        options: further words for the command line.
        key: that it asks for; empty for none.
    """

    def __init__(self, home: Path, studies: Path, options: Sequence[str] = (), key: str = KEY) -> None:
        self.home = home
        self.studies = studies
        self.options = list(options)
        self.key = key
        self.port = 0
        self.address = ""

    def __enter__(self) -> LabelServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin and wait for it to be ready."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.studies.mkdir(parents=True, exist_ok=True)
        log = self.home / f"server{time.monotonic_ns()}.log"
        command = [str(label_python_or_skip()), "-m", "monai_semgan", "serve", str(self.studies), "--json"]
        command += ["--port", str(self.port), *self.options]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=stream, cwd=self.home, env=_environment(self.key), start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            announced = [line for line in log.read_text().splitlines() if line.startswith("{")]
            if announced:
                content = json.loads(announced[0])
                self.address, self.port = content["address"], content["port"]
                return
            time.sleep(0.1)
        self.stop()
        pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End the server as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(100)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the server at once, with all its workers: as a power cut."""
        os.killpg(self.process.pid, 9)
        self.process.wait(100)

    def logged(self) -> str:
        """Read all that it has written."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.home.glob("*.log")))
