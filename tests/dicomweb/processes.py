"""Servers as child processes: waited for, and ended whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest


class ServerProcess:
    """A program that serves until it is ended; what it says goes into a file.

    Args:
        command: program and arguments.
        log: file that its messages are added to.
        folder: where it runs: here, if left out.
    """

    def __init__(self, command: list[str], log: Path, folder: Path | None = None) -> None:
        self._command, self._log, self._folder = command, log, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, answers: Callable[[], bool], seconds: float = 60.0) -> None:
        """Start it, and wait until it answers; a test fails with its log if it does not."""
        assert self._process is None, "it is running"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        deadline = time.monotonic() + seconds
        while not answers():
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                self.stop()
                state = "does not answer" if code is None else f"has ended with {code}"
                pytest.fail(f"{self._command[0]} {state}:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; by force if it does not end soon."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """Have Linux end the process with the tests, even where these are killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
    if os.getppid() == 1:  # they have ended meanwhile
        os._exit(1)
