"""Work in threads that nobody has to wait for when the server ends, however long an archive keeps silent."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.2


class Ending:
    """Lets threads stop waiting as soon as the server ends: Python waits for these, and they for an archive."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether the server ends."""
        return self._ended.is_set()

    def end(self) -> None:
        """Note that the server ends."""
        self._ended.set()

    def done(self, future: Future[T], seconds: float = float("inf")) -> bool:
        """Wait until something is done, at most so many seconds; tell whether it is."""
        deadline = time.monotonic() + seconds
        while not self.ended and not future.done() and (left := deadline - time.monotonic()) > 0:
            wait([future], min(left, LOOK_SECONDS))
        return future.done()

    def in_background(self, work: Callable[[], T]) -> Future[T]:
        """Have work done in a thread that ends with the server."""
        future: Future[T] = Future()
        threading.Thread(target=_do, args=(future, work), daemon=True).start()
        return future


class SubmissionQueue(Generic[T]):
    """Runs work in the order in which it comes."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
        self._ending = Ending()
        threading.Thread(target=self._run, daemon=True, name="archive-sender").start()

    def run(self, work: Callable[[], T], seconds: float) -> T | None:
        """Have work done; None if it is not done within these seconds, or the server ends. It goes on behind that."""
        future: Future[T] = Future()
        self._waiting.put((future, work))
        return future.result() if self._ending.done(future, seconds) else None

    def close(self) -> None:
        """Begin nothing more."""
        self._ending.end()

    def _run(self) -> None:
        while True:
            future, work = self._waiting.get()
            if not self._ending.ended:
                _do(future, work)


def _do(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
