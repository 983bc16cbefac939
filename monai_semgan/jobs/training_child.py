"""The process that learns: `semgan learn`, which tells its progress and waits while jobs go first."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_semgan.jobs.train_contract import TrainKind, TrainRequest
from monai_semgan.organs import find_organ
from monai_semgan.utils.processes import ChildProcess, how_it_ended, module_command

NICENESS = 19
"""The lowest priority of all: jobs are computed at 5."""

ERROR = "semgan: error: "
"""Begins the line in which the command line says what is wrong."""

FOLDERS = re.compile(r"(?:[A-Za-z]:)?[/\\](?:[^/\\:;]*[/\\])+")

SPARE_BYTES = 512 * 2**20
"""Memory that jobs are left: a training that waits for them while there is less gives its own back."""

LEAVE_SECONDS = 20.0
"""A child that was asked to end between two steps is killed after this time."""


@dataclass(frozen=True)
class Place:
    """Where a training works.

    Attributes:
        data: its data list.
        bundle: the model as shipped.
        versions: folder of the model's versions; the one in use is what it begins with.
        log: file for what the process prints.
    """

    data: Path
    bundle: Path
    versions: Path
    log: Path


def learn_command(request: TrainRequest, structures: Mapping[int, str], place: Place, python: str) -> list[str]:
    """Return the command of a training.

    Args:
        request: what was asked for.
        structures: name by label id in the data list.
        place: where it works.
        python: interpreter.
    """
    command = module_command("monai_semgan", "learn", str(place.data), python=python)
    for index, name in structures.items():
        command += [f"--structure={name}", "--label-id", str(index)]
    colours = {one.name: one.colour for one in request.structures if one.colour is not None}
    for index, name in structures.items() if colours else ():  # all or none
        command += ["--colour", ",".join(map(str, colours.get(name) or find_organ(name, index).colour))]
    command += ["--bundle", str(place.bundle), "--versions", str(place.versions)]
    command += ["--budget", f"{request.seconds:.0f}s", "--progress", "json"]
    if request.kind is TrainKind.tune:
        command.append("--tune")
    if request.held_out is not None:
        command += ["--held-out", str(request.held_out)]
    return command


class TrainingChild:
    """A process that learns.

    Args:
        command: see `learn_command`.
        log: file for what it prints.
        on_progress: told `step`, `steps`, `message` and `eta`.
    """

    def __init__(self, command: Sequence[str], log: Path, on_progress: Callable[[dict[str, Any]], None]) -> None:
        self.problem, self.log = "", log
        self._on_progress = on_progress
        self._ended = threading.Event()
        self._code = 0
        with log.open("ab") as errors:
            self._process = ChildProcess(command, self._hear, self._note_end, errors=errors)
        self._lower()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def pause(self) -> None:
        """Let it wait after its present step, with all that it has in memory."""
        self._process.send("pause")

    def resume(self) -> None:
        """Let it go on."""
        self._process.send("resume")

    def cancel(self) -> None:
        """Ask it to end after its present step, and see to that."""
        self._process.send("cancel")
        threading.Thread(target=self._end_late, daemon=True).start()

    def leave(self) -> None:
        """End it at once: what it has saved stays."""
        self._process.ask_to_leave()
        self._process.wait_or_kill(3.0)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        self._ended.wait()
        return self._code

    def why(self) -> str:
        """Say why it has failed."""
        told = self.problem or _last_error(self.log)
        if told:
            return told
        how = how_it_ended(self._code)
        return f"the training process {how}; it may have run out of memory" if self._code < 0 else f"it {how}"

    def _hear(self, process: ChildProcess, message: dict[str, Any]) -> None:
        if message["say"] == "failed":
            self.problem = str(message.get("message", ""))
        elif message["say"] == "progress":
            self._on_progress(message)

    def _note_end(self, process: ChildProcess, code: int) -> None:
        self._code = code
        self._ended.set()

    def _end_late(self) -> None:
        if not self._ended.wait(LEAVE_SECONDS):
            self.leave()

    def _lower(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # it may have ended already
                os.setpriority(os.PRIO_PROCESS, self.pid, NICENESS)


def short_of_memory() -> bool:
    """Tell whether jobs have little memory left."""
    import psutil  # noqa: PLC0415 - optional extra

    return bool(psutil.virtual_memory().available < SPARE_BYTES)


def _last_error(log: Path) -> str:
    """Return what a process has said before it ended, without places of files; empty if it has said nothing."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = lines[-1] if lines else ""
    return FOLDERS.sub("", said.removeprefix(ERROR)) if said.startswith(ERROR) else ""
