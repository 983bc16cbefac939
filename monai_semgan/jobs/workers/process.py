"""The server's end of a worker process."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai_semgan.jobs.workers.messages import LineWriter, read_line

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 3.0

OnMessage = Callable[["WorkerProcess", dict[str, Any]], None]
OnExit = Callable[["WorkerProcess", int], None]


class WorkerProcess:
    """A running worker. Its messages, and its end, are told from a thread of its own.

    Args:
        command: how to start it.
        on_message: told every message.
        on_exit: told the exit code, once, after the last message.
    """

    def __init__(self, command: Sequence[str], on_message: OnMessage, on_exit: OnExit) -> None:
        self._on_message, self._on_exit = on_message, on_exit
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=package_environment()
        )
        assert self._process.stdin is not None
        self._say = LineWriter(self._process.stdin)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._listen, daemon=True, name=f"worker-{self.pid}")
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, say: str, **values: Any) -> None:
        """Send a message; one to a process that is dying is lost, and its end is told."""
        with contextlib.suppress(OSError, ValueError):
            self._say(say, **values)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def leave(self) -> None:
        """Let it go: without a server it leaves by itself, and is killed if it does not."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = read_line(line)
            if message is not None:
                self._on_message(self, message)
        code = self._process.wait()
        self._process.stdout.close()
        self._on_exit(self, code)


def package_environment() -> dict[str, str]:
    """Environment in which another interpreter finds this package, wherever it was imported from."""
    root = str(Path(__file__).resolve().parents[3])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
