"""The worker processes of a server, one per device, and the jobs that they have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from monai_semgan.jobs.server_contract import Worker
from monai_semgan.jobs.workers.messages import Task
from monai_semgan.utils.process_pool import ProcessPool, Slot
from monai_semgan.utils.processes import module_command
from monai_semgan.utils.threads import threads_each

logger = logging.getLogger(__name__)

STARTING, WARMING, READY, BUSY, STOPPED = "starting", "warming", "ready", "busy", "stopped"


class PoolEvents(Protocol):
    """Who is told what workers say. Called with the owner's lock held."""

    def worker_free(self) -> None:
        """Hear that a worker can take a job."""

    def worker_says(self, job: str, message: dict[str, Any]) -> None:
        """Hear a message about a job that a worker has."""

    def worker_died(self, jobs: Sequence[str], code: int, usable: bool, message: str) -> None:
        """Hear that a process ended by itself; `usable`: it had once been ready, or may be the next time."""


@dataclass
class JobSlot(Slot):
    """A device and the process that serves it; `ready` means that the model is loaded and has run once.

    Attributes:
        device: as `select_device` takes it, then the one that the process has settled on.
        warming: whether the process is loading the model.
        job: that it was given.
        quick: job that goes before that one, which is paused meanwhile.
        reporting: ended jobs whose reports it is writing; the next job may be given to it meanwhile.
    """

    device: str = "auto"
    warming: bool = False
    job: str | None = None
    quick: str | None = None
    reporting: set[str] = field(default_factory=set)

    @property
    def jobs(self) -> list[str]:
        """Jobs that it has, the quick one first."""
        return [job for job in (self.quick, self.job) if job is not None]

    @property
    def state(self) -> str:
        """One of `starting`, `warming`, `ready`, `busy` and `stopped`."""
        if self.process is None:
            return STOPPED
        if not self.ready:
            return WARMING if self.warming else STARTING
        return BUSY if self.jobs else READY

    def let_go(self, job: str) -> None:
        """Note that a job is no longer its."""
        self.job = None if self.job == job else self.job
        self.quick = None if self.quick == job else self.quick


class WorkerPool(ProcessPool[JobSlot]):
    """All workers of a server. The owner holds `lock` while it calls.

    Args:
        command: of the process, without device.
        devices: one worker for each.
        lock: of the owner; messages are handled with it held.
        events: told what workers say.
    """

    def __init__(self, command: Sequence[str], devices: Sequence[str], lock: Any, events: PoolEvents) -> None:
        threads = threads_each(len(devices))
        super().__init__(
            [
                JobSlot(
                    [*command, "--device", device],
                    threads=None if device.startswith("cuda") else threads,
                    device=device,
                )
                for device in devices
            ],
            lock,
        )
        self.events = events

    def free_slots(self, quick: bool) -> list[JobSlot]:
        """List workers that can take a job, those that do nothing first; one that is still warming up can, too."""
        free = [s for s in self.slots if (s.quick if quick else s.job) is None and s.process is not None]
        return sorted(free, key=lambda slot: (bool(slot.jobs), not slot.ready))

    def give(self, slot: JobSlot, task: Task) -> None:
        """Give a worker a job that it can take."""
        if task.quick:
            slot.quick = task.job
        else:
            slot.job = task.job
        assert slot.process is not None
        slot.process.send("run", task=task.to_dict())

    def cancel(self, job: str) -> None:
        """Ask for an orderly end of a job."""
        slot = self.slot_of(job)
        if slot is not None and slot.process is not None:
            slot.process.send("cancel", job=job)

    def drop(self, job: str) -> None:
        """Ask for the end of a job that has not begun, and let the worker take another one after it."""
        self.cancel(job)
        slot = self.slot_of(job)
        if slot is not None:
            slot.let_go(job)

    def kill(self, job: str) -> None:
        """End the process that has a job; another takes its place."""
        slot = self.slot_of(job)
        if slot is not None and slot.process is not None:
            slot.process.kill()

    def workers(self) -> list[Worker]:
        """Describe the processes, for `GET /semgan/health`."""
        return [Worker(device=slot.device, state=slot.state, job=next(iter(slot.jobs), None)) for slot in self.slots]

    @property
    def ready(self) -> bool:
        """Whether a model is warm."""
        return any(slot.ready for slot in self.slots)

    def heard(self, slot: JobSlot, message: dict[str, Any]) -> None:
        """Pass on what a worker says of the jobs that it has."""
        said, job = message["say"], message.get("job")
        if said == "warming":
            slot.warming = True
            slot.device = str(message.get("device", slot.device))
        if said == "parts":
            slot.reporting.discard(str(job))
        elif job not in slot.jobs:
            return
        elif said == "end":
            slot.let_go(str(job))
            slot.reporting.add(str(job))
        self.events.worker_says(str(job), message)
        if said == "end":
            self.events.worker_free()

    def died(self, slot: JobSlot, code: int, was_ready: bool) -> None:
        """Tell what the worker leaves undone."""
        jobs, reporting = slot.jobs, slot.reporting
        slot.job, slot.quick, slot.reporting, slot.warming = None, None, set(), False
        for job in reporting:
            self.events.worker_says(job, {"say": "parts"})
        logger.warning("a worker process ended with code %d", code)
        self.events.worker_died(jobs, code, was_ready or not slot.broken, slot.broken)

    def slot_of(self, job: str) -> JobSlot | None:
        """Return the worker that has a job."""
        return next((slot for slot in self.slots if job in slot.jobs), None)


def worker_command(python: str, bundle: Path, partial_seconds: float) -> list[str]:
    """Return how a worker is started."""
    options = ["--bundle", str(bundle), "--partial-seconds", str(partial_seconds)]
    return module_command("monai_semgan.jobs.workers.worker", *options, python=python)
