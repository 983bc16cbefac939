"""Child processes that are kept: each has its place, and is replaced when it dies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from monai_semgan.utils.processes import ChildProcess, Started, how_it_ended

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 3.0
"""A child that was asked to leave is killed after this time."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before a child that died is replaced; doubled every time it dies before it was ready."""


@dataclass
class Slot:
    """A place for a child, which is filled again when the child dies.

    Attributes:
        command: how the child is started.
        threads: of its arithmetic; when None, it chooses.
        process: None between two.
        ready: whether it has said that it can work.
        broken: why it cannot, as it says itself.
        deaths: ends in a row before it was ready.
        start_at: time of the next start; None while there is a process, or none is wanted any more.
    """

    command: Sequence[str]
    threads: int | None = None
    process: ChildProcess | None = None
    ready: bool = False
    broken: str = ""
    deaths: int = 0
    start_at: float | None = None


SlotT = TypeVar("SlotT", bound=Slot)


class ProcessPool(Generic[SlotT]):
    """Keeps a child in every slot. The owner holds `lock` while it calls, except for `close`.

    Children say `ready` when they can work and `broken` when they never will; the rest is for `heard`.

    Args:
        slots: one for each child.
        lock: of the owner; messages are handled with it held.
    """

    def __init__(self, slots: Sequence[SlotT], lock: Any) -> None:
        self.slots, self.lock = list(slots), lock
        self._closed = False

    def heard(self, slot: SlotT, message: dict[str, Any]) -> None:
        """Handle a message of a child; for subclasses."""

    def died(self, slot: SlotT, code: int, was_ready: bool) -> None:
        """Handle the end of a child, whose slot is empty and has a time for the next start; for subclasses."""

    def fork(self) -> Callable[[int | None], Started] | None:
        """Return what starts a child in place of its command, if there is such a thing; for subclasses."""
        return None

    def start(self) -> None:
        """Start all children."""
        for slot in self.slots:
            self._launch(slot)

    def tend(self) -> None:
        """Start children whose time has come."""
        for slot in self.slots:
            if slot.start_at is not None and time.monotonic() >= slot.start_at:
                self._launch(slot)

    def close(self, seconds: float = LEAVE_SECONDS) -> None:
        """Ask all children to leave, and kill those that have not after some seconds."""
        with self.lock:
            self._closed = True
            processes = [slot.process for slot in self.slots if slot.process is not None]
        for process in processes:
            process.ask_to_leave()
        deadline = time.monotonic() + seconds
        for process in processes:
            process.wait_or_kill(deadline - time.monotonic())

    def _launch(self, slot: SlotT) -> None:
        slot.start_at, slot.ready = None, False
        try:
            slot.process = ChildProcess(slot.command, self._on_message, self._on_exit, slot.threads, self.fork())
        except OSError:
            logger.error("a worker process could not be started")
            self._later(slot)

    def _later(self, slot: SlotT) -> None:
        slot.deaths = 0 if slot.ready else slot.deaths + 1
        pause = min(FIRST_PAUSE * 2.0 ** min(slot.deaths, 10), LONGEST_PAUSE)
        slot.ready, slot.start_at = False, time.monotonic() + pause

    def _on_message(self, process: ChildProcess, message: dict[str, Any]) -> None:
        with self.lock:
            slot = self._slot_with(process)
            if slot is None or self._closed:
                return
            if message["say"] == "ready":
                slot.ready, slot.broken = True, ""
            elif message["say"] == "broken":
                slot.broken = str(message.get("message", ""))
            self.heard(slot, message)

    def _on_exit(self, process: ChildProcess, code: int) -> None:
        with self.lock:
            slot = self._slot_with(process)
            if slot is None or self._closed:
                return
            was_ready, slot.process = slot.ready, None
            self._later(slot)
            logger.info("a worker process %s", how_it_ended(code))
            self.died(slot, code, was_ready)

    def _slot_with(self, process: ChildProcess) -> SlotT | None:
        return next((slot for slot in self.slots if slot.process is process), None)
