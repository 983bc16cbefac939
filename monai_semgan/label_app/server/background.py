"""Work that goes on in the background of the server: batches and scoring, one at a time, with MONAI Label's status."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import Forbidden, in_words
from monai_semgan.jobs.ownership import NOBODY, Asker

log = logging.getLogger(__name__)

Work = Callable[[dict[str, Any], "Task"], Any]
KEPT = 50
"""Tasks that are remembered."""

FAILURES = 20
"""Failed images of which the reason is told."""

WAITING = 16
"""Tasks that have not ended; further ones are not taken."""


class Task:
    """One piece of work and how far it is.

    Args:
        request: what is to be done.
        asker: who has asked for it.
    """

    def __init__(self, request: dict[str, Any], asker: Asker = NOBODY) -> None:
        self.id, self.asker = str(uuid.uuid4()), asker
        self.request, self.state, self.error = request, "SUBMITTED", ""
        self.start, self.end = _now(), ""
        self.done = self.failed = 0
        self.total: int | None = None
        self.failures: list[dict[str, str]] = []
        self._stopped = threading.Event()

    def report(self, done: int, failed: int, total: int) -> bool:
        """Take note of the progress; returns whether to go on."""
        self.done, self.failed, self.total = done, failed, total
        return not self._stopped.is_set()

    def note_failure(self, image: str, reason: str) -> None:
        """Take note of an image that failed; of many, the first."""
        if len(self.failures) < FAILURES:
            self.failures.append({"image": image, "reason": reason})

    def stop(self) -> None:
        """Ask it to end."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to end."""
        return self._stopped.is_set()

    def status(self) -> dict[str, Any]:
        """Return what MONAI Label tells, `progress`, and `failures`."""
        told: dict[str, Any] = {"id": self.id, "status": self.state, "request": self.request, "start_ts": self.start}
        if self.end:
            told["end_ts"] = self.end
        progress = f"{self.done} of {self.total} images done, {self.failed} of them failed"
        told["details"] = [line for line in (progress if self.total is not None else "", self.error) if line]
        told["progress"] = {"done": self.done, "failed": self.failed, "total": self.total}
        told["failures"] = list(self.failures)
        return told


class Background:
    """Runs tasks of one kind, one after the other.

    Args:
        work: does it; gets request and task.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self.tasks: list[Task] = []

    def running(self) -> list[Task]:
        """Return those that have not ended."""
        with self._lock:
            return [task for task in self.tasks if not task.end]

    def start(self, request: dict[str, Any], asker: Asker = NOBODY, enqueue: bool = False) -> Task | None:
        """Start a task in a thread; None if one is there already and this one is not to wait, or too many wait."""
        with self._lock:
            ahead = sum(not task.end for task in self.tasks)
            if ahead >= (WAITING if enqueue else 1):
                return None
            task = Task(request, asker)
            self.tasks = [*self.tasks[-KEPT:], task]
        threading.Thread(target=self._run, args=(task,), daemon=True).start()
        return task

    def run_now(self, request: dict[str, Any], asker: Asker = NOBODY) -> Any:
        """Do it in this thread, and return its result."""
        with self._turn:
            return self._work(request, Task(request, asker))

    def stop(self, asker: Asker = NOBODY) -> Task | None:
        """Ask the task that runs to end; None if there is none.

        Raises:
            Forbidden: it is somebody else's.
        """
        running = self.running()
        if not running:
            return None
        if not asker.may_change(running[0].asker.owner):
            raise Forbidden("it was started by somebody else, who alone may end it")
        running[0].stop()
        running[0].state = "STOPPED"
        return running[0]

    def _run(self, task: Task) -> None:
        with self._turn:
            try:
                if not task.stopped:
                    task.state = "RUNNING"
                    self._work(task.request, task)
                task.state = "STOPPED" if task.stopped else "DONE"
            except SemganError as error:
                task.state, task.error = "ERROR", in_words(error)
            except Exception as error:
                task.state, task.error = "ERROR", "internal error of the server; its log tells the kind"
                log.error("work in the background ended with %s", type(error).__name__)
            finally:
                task.end = _now()


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")
