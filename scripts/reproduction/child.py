"""A process that trains: interrupted in time, and never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from environment import REPOSITORY

from monai_semgan.errors import Cancelled

STOPPED = 130


def run_child(command: Sequence[str], limit: float | None) -> int:
    """Run a process that saves when it is interrupted, and interrupt it when time is over or Ctrl-C is pressed.

    Returns:
        Its exit code; 130 if it was interrupted.

    Raises:
        Cancelled: once it has ended after Ctrl-C.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), *paths())))}
    apart: dict[str, Any] = {}
    if os.name == "posix":  # else Ctrl-C would reach it twice, and the second one means: at once
        apart = {"start_new_session": True, "preexec_fn": _end_with_parent}
    process = subprocess.Popen(command, env=environment, **apart)
    end = None if limit is None else time.monotonic() + limit
    pressed = False
    while True:
        try:
            code = process.wait(None if end is None else max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            end = None
            _interrupt(process)
        except KeyboardInterrupt:
            pressed, end = True, None
            _interrupt(process)
        else:
            break
    if pressed:
        raise Cancelled
    return STOPPED if code == -signal.SIGINT else code


def paths() -> list[str]:
    """What the user has on the path of modules already."""
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":  # elsewhere Ctrl-C reaches it by itself
        process.send_signal(signal.SIGINT)


def _end_with_parent() -> None:
    """Do not train on, unseen, when this script is killed; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
