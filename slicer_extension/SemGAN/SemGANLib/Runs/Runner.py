"""Work in threads whose outcome is applied in the main thread."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from contextlib import suppress
from typing import Any, Callable

from ..Protocols.ApplicationProtocol import Timer

THREADS = 8
"""So many that cancelling never waits for volumes on their way."""

PUMP_MILLISECONDS = 50
YIELD_SECONDS = 0.01

CLOSING_SECONDS = 3.0
"""How long the application waits when it ends: a job is cancelled and its upload removed within a second or two."""


class Task:
    """Something that was handed to a runner; see `Protocols.RunnerProtocol.Task`."""

    def __init__(self) -> None:
        self.dropped = False

    def drop(self) -> None:
        """Call neither `done` nor `failed` from now on; work that has begun runs to its end."""
        self.dropped = True


class Runner:
    """Runs work in a few threads; a timer of the main thread hands out what came of it.

    Nothing but `run`'s `work` is called outside the main thread. An error in what the main thread calls goes to the
    log and does not stop the others.

    Args:
        timer: calls `pump` in the main thread; without one, whoever owns the runner calls it.
        threads: how many works run at once.
        clock: seconds; for `later`.
    """

    def __init__(
        self,
        timer: Timer | None = None,
        threads: int = THREADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timer = timer
        self._clock = clock
        self._works: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[Task, Callable[[Any], None], Any]] = queue.SimpleQueue()
        self._alarms: list[tuple[float, int, Task, Callable[[], None]]] = []
        self._count = itertools.count()
        self._closed = False
        self._threads = threads
        self.open = 0
        """Works whose outcome is still to come."""
        for _ in range(threads):  # daemons: an upload must not keep the application from ending
            threading.Thread(target=self._serve, name="SemGAN", daemon=True).start()
        if timer is not None:
            timer.start(PUMP_MILLISECONDS, self.pump)

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> Task:
        """Call `work` in a thread; then, in the main thread, `done` with what it returned, or `failed`."""
        task = Task()
        if self._closed:
            task.drop()
            return task
        self.open += 1
        self._works.put(lambda: self._work(task, work, done, failed))
        return task

    def later(self, seconds: float, call: Callable[[], None]) -> Task:
        """Call once in the main thread after a while."""
        task = Task()
        heapq.heappush(self._alarms, (self._clock() + seconds, next(self._count), task, call))
        return task

    def pump(self) -> None:
        """Hand out what has come since the last time; in the main thread."""
        if self._timer is not None and self.open:
            time.sleep(YIELD_SECONDS)  # lets the threads go on where the main thread keeps Python's lock between events
        for _ in range(self._outcomes.qsize()):  # what is added meanwhile waits for the next time
            task, call, value = self._outcomes.get()
            self.open -= 1
            if not task.dropped:
                _safely(call, value)
        now = self._clock()
        while self._alarms and self._alarms[0][0] <= now:
            _, _, task, alarm = heapq.heappop(self._alarms)
            if not task.dropped:
                _safely(alarm)

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Drop everything, for good.

        Args:
            seconds: how long work that waits or has begun may take at most until then.
        """
        self._closed = True
        if self._timer is not None:
            self._timer.stop()
        self._alarms.clear()
        deadline = time.monotonic() + seconds
        while self.open > self._outcomes.qsize() and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(self._threads):
            self._works.put(_leave)

    def _serve(self) -> None:
        with suppress(SystemExit):
            while True:
                self._works.get()()

    def _work(
        self,
        task: Task,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        try:
            outcome = (task, done, work() if not task.dropped else None)
        except Exception as error:
            outcome = (task, failed, error)
        self._outcomes.put(outcome)


def _safely(call: Callable[..., None], *values: Any) -> None:
    try:
        call(*values)
    except Exception:
        logging.exception("SemGAN: an error while a result was applied")


def _leave() -> None:
    raise SystemExit
