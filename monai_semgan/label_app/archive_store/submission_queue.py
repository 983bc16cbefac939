"""Does one thing after the other in a thread that nobody has to wait for when the server ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from typing import Generic, TypeVar

T = TypeVar("T")


class SubmissionQueue(Generic[T]):
    """Runs work in the order in which it comes."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
        self._closed = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="archive-sender").start()

    def run(self, work: Callable[[], T], seconds: float) -> T | None:
        """Have work done; None if it is not done within these seconds, or the server ends. It goes on behind that."""
        future: Future[T] = Future()
        self._waiting.put((future, work))
        try:
            return None if self._closed.is_set() else future.result(seconds)
        except (NotYet, CancelledError):
            return None

    def close(self) -> None:
        """Begin nothing more."""
        self._closed.set()

    def _run(self) -> None:
        while True:
            future, work = self._waiting.get()
            if self._closed.is_set():
                future.cancel()
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
