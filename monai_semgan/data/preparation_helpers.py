"""Processes that fill the cache of preprocessed volumes beside the one that needs them."""

from __future__ import annotations

import base64
import contextlib
import pickle
import threading
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_semgan.data.cache import VolumeCache
from monai_semgan.utils.process_pool import ProcessPool, Slot
from monai_semgan.utils.processes import LineWriter, module_command, parent_messages, run_child


@dataclass
class HelperSlot(Slot):
    """A process that helps.

    Attributes:
        number: volume that it is at.
    """

    number: int | None = None


class PreparationHelpers(ProcessPool[HelperSlot]):
    """Deal volumes out to other processes, the last ones first, while the owner takes the first ones.

    A process that dies is not replaced, and a volume that one of them cannot prepare goes to the owner: it is the one
    who tells the user what is wrong.

    Args:
        cache: of the volumes, on disk.
        missing: numbers of the volumes that it lacks.
        count: processes.
    """

    def __init__(self, cache: VolumeCache, missing: Sequence[int], count: int) -> None:
        slots = [HelperSlot(module_command(__name__), threads=1) for _ in range(count)]
        super().__init__(slots, threading.RLock())
        self._todo, self._left = deque(missing), set(missing)
        self._total = len(missing)
        self._content = _pickled(cache)

    def __enter__(self) -> PreparationHelpers:
        if self._content is not None:
            with self.lock:
                self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def finished(self) -> bool:
        """Whether all volumes are in the cache."""
        with self.lock:
            return not self._left

    @property
    def count(self) -> int:
        """Volumes that have been prepared."""
        with self.lock:
            return self._total - len(self._left)

    def take(self) -> int | None:
        """Volume for the owner to prepare; None while the last ones are in other hands."""
        with self.lock:
            return self._todo.popleft() if self._todo else None

    def done(self, number: int) -> None:
        """Note that a volume is prepared."""
        with self.lock:
            self._left.discard(number)

    def heard(self, slot: HelperSlot, message: dict[str, Any]) -> None:
        """Give a process what it needs, note what it has done, and give it the next volume."""
        said, process = message["say"], slot.process
        if process is None:
            return
        if said == "starting":
            process.send("cache", content=self._content)
        elif said == "prepared":
            self._left.discard(int(message["number"]))
        elif said == "failed":
            self._todo.appendleft(int(message["number"]))
        if said in ("ready", "prepared", "failed"):
            slot.number = self._todo.pop() if self._todo and said != "failed" else None
            if slot.number is not None:
                process.send("prepare", number=slot.number)

    def died(self, slot: HelperSlot, code: int, was_ready: bool) -> None:
        """Take its volume back."""
        slot.start_at = None
        if slot.number is not None:
            self._todo.appendleft(slot.number)
            slot.number = None


def _pickled(cache: VolumeCache) -> str | None:
    """The cache as text for another process; None where transforms of the user's own cannot travel."""
    try:
        return base64.b64encode(pickle.dumps(cache)).decode("ascii")
    except Exception:  # whatever keeps it from being pickled, it is prepared here then
        return None


def work(say: LineWriter) -> int:
    """Prepare one volume after the other in a process of its own, until the parent is gone.

    Args:
        say: sends a message to the parent.

    Returns:
        The exit code.
    """
    warnings.simplefilter("ignore")
    say("starting")
    messages = parent_messages()
    cache: VolumeCache = pickle.loads(base64.b64decode(next(messages)["content"]))
    say("ready")
    for message in messages:
        number = int(message["number"])
        prepared = False
        with contextlib.suppress(Exception):  # the parent comes to it, and tells what is wrong
            cache[number]
            prepared = True
        say("prepared" if prepared else "failed", number=number)
    return 0


if __name__ == "__main__":
    run_child(work)
