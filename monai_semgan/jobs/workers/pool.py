"""The worker processes, one per device: started, given jobs, watched, replaced when they die."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monai_semgan.jobs.contract import Worker
from monai_semgan.jobs.workers.messages import Task
from monai_semgan.jobs.workers.process import WorkerProcess
from monai_semgan.utils.device import threads_each

logger = logging.getLogger(__name__)

STARTING, WARMING, READY, BUSY, STOPPED = "starting", "warming", "ready", "busy", "stopped"

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before a worker that died is replaced; doubled every time it dies before it was ready."""


class PoolEvents(Protocol):
    """Who is told what workers say. Called with the owner's lock held."""

    def worker_free(self) -> None:
        """A worker can take a job."""

    def worker_says(self, job: str, message: dict[str, Any]) -> None:
        """A message about a job that a worker has."""

    def worker_died(self, job: str | None, code: int, usable: bool, message: str) -> None:
        """A process ended by itself; `usable`: it had once been ready, or may be the next time."""


@dataclass
class Slot:
    """A device and the process that serves it.

    Attributes:
        device: as `select_device` takes it.
        state: `starting`, `warming`, `ready`, `busy` or `stopped`.
        process: None between two.
        job: that it was given.
        reporting: ended job whose report it is writing; the next job may be given to it meanwhile.
        warm: whether the model is loaded and has run once.
        broken: why the model cannot be used, if it cannot.
        pause: seconds before the next start.
        start_at: time of the next start; None while there is a process.
    """

    device: str
    state: str = STOPPED
    process: WorkerProcess | None = None
    job: str | None = None
    reporting: str | None = None
    broken: str = ""
    warm: bool = False
    pause: float = FIRST_PAUSE
    start_at: float | None = None


class WorkerPool:
    """All workers of a server. The owner holds `lock` while it calls.

    Args:
        command: of the process, without device and threads.
        devices: one worker for each.
        lock: of the owner; messages are handled with it held.
        events: told what workers say.
    """

    def __init__(self, command: Sequence[str], devices: Sequence[str], lock: Any, events: PoolEvents) -> None:
        self.command, self.lock, self.events = list(command), lock, events
        self.slots = [Slot(device) for device in devices]
        self._threads = _threads_each(len(self.slots))
        self._closed = False

    def start(self) -> None:
        """Start all processes."""
        for slot in self.slots:
            self._launch(slot)

    def close(self) -> None:
        """End all processes; the owner does not hold the lock."""
        with self.lock:
            self._closed = True
            processes = [slot.process for slot in self.slots if slot.process is not None]
        for process in processes:
            process.leave()

    def free_slot(self) -> Slot | None:
        """A worker without a job, a warm one first; one that is still warming up takes a job, too."""
        free = [slot for slot in self.slots if slot.job is None and slot.process is not None]
        return min(free, key=lambda slot: not slot.warm, default=None)

    def give(self, slot: Slot, task: Task) -> None:
        """Give a free worker a job."""
        slot.job = task.job
        if slot.warm:
            slot.state = BUSY
        assert slot.process is not None
        slot.process.send("run", task=task.to_dict())

    def cancel(self, job: str) -> None:
        """Ask for an orderly end of a job."""
        slot = self._slot_of(job)
        if slot is not None and slot.process is not None:
            slot.process.send("cancel", job=job)

    def drop(self, job: str) -> None:
        """Ask for the end of a job that has not begun, and let the worker take another one after it."""
        self.cancel(job)
        slot = self._slot_of(job)
        if slot is not None:
            slot.job = None
            slot.state = READY if slot.warm else slot.state

    def kill(self, job: str) -> None:
        """End the process that has a job; another takes its place."""
        slot = self._slot_of(job)
        if slot is not None and slot.process is not None:
            slot.process.kill()

    def tend(self) -> None:
        """Start processes whose time has come."""
        for slot in self.slots:
            if slot.start_at is not None and time.monotonic() >= slot.start_at:
                self._launch(slot)

    def workers(self) -> list[Worker]:
        """The processes, for `GET /semgan/health`."""
        return [Worker(device=slot.device, state=slot.state, job=slot.job) for slot in self.slots]

    @property
    def ready(self) -> bool:
        """Whether a model is warm."""
        return any(slot.warm for slot in self.slots)

    def _slot_of(self, job: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.job == job), None)

    def _launch(self, slot: Slot) -> None:
        slot.start_at, slot.state, slot.warm = None, STARTING, False
        command = [*self.command, "--device", slot.device]
        if self._threads is not None and not slot.device.startswith("cuda"):
            command += ["--threads", str(self._threads)]
        try:
            slot.process = WorkerProcess(command, self._message, self._exit)
        except OSError:
            logger.error("a worker process could not be started")
            self._later(slot)

    def _message(self, process: WorkerProcess, message: dict[str, Any]) -> None:
        with self.lock:
            slot = self._slot_with(process)
            if slot is None or self._closed:
                return
            said, job = message["say"], message.get("job")
            if said == "warming":
                slot.state = WARMING
            elif said == "ready":
                slot.warm, slot.broken, slot.pause = True, "", FIRST_PAUSE
                slot.state = READY if slot.job is None else BUSY
            elif said == "broken":
                slot.broken = str(message.get("message", ""))
            if said == "end" and job == slot.job:
                slot.job, slot.reporting = None, job
                slot.state = READY if slot.warm else slot.state
            elif said == "parts":
                slot.reporting = None
            elif job is None or job != slot.job:
                return
            self.events.worker_says(str(job), message)
            if said == "end":
                self.events.worker_free()

    def _exit(self, process: WorkerProcess, code: int) -> None:
        with self.lock:
            slot = self._slot_with(process)
            if slot is None or self._closed:
                return
            job, usable, broken = slot.job, slot.warm or not slot.broken, slot.broken
            if slot.reporting is not None:
                self.events.worker_says(slot.reporting, {"say": "parts"})
            slot.process, slot.job, slot.reporting = None, None, None
            self._later(slot)
            logger.warning("a worker process ended with code %d", code)
            self.events.worker_died(job, code, usable, broken)

    def _later(self, slot: Slot) -> None:
        slot.pause = FIRST_PAUSE if slot.warm else min(2 * slot.pause, LONGEST_PAUSE)
        slot.state, slot.warm, slot.start_at = STOPPED, False, time.monotonic() + slot.pause

    def _slot_with(self, process: WorkerProcess) -> Slot | None:
        return next((slot for slot in self.slots if slot.process is process), None)


def worker_command(python: str, bundle: Path, partial_seconds: float) -> list[str]:
    """How a worker is started."""
    module = "monai_semgan.jobs.workers.worker"
    return [python, "-m", module, "--bundle", str(bundle), "--partial-seconds", str(partial_seconds)]


def _threads_each(count: int) -> int | None:
    return threads_each(count)
