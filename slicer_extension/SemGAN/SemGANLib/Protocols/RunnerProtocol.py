"""Work off the main thread, and volumes on their way."""

from __future__ import annotations

from typing import Any, Callable, Protocol


class Task(Protocol):
    """Work that was handed to a `Runner`."""

    def drop(self) -> None:
        """Call neither `done` nor `failed` from now on: the outcome is of no interest any more."""


class Runner(Protocol):
    """Runs work in threads and hands the outcome to the main thread."""

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> Task:
        """Call `work` in a thread; then, in the main thread, `done` with what it returned, or `failed`."""

    def later(self, seconds: float, call: Callable[[], None]) -> Task:
        """Call once in the main thread after a while."""

    def close(self) -> None:
        """Drop everything; for good."""


class Transfer(Protocol):
    """A volume on its way: one thread moves it, another one looks how far it is and may stop it."""

    @property
    def stopped(self) -> bool:
        """Whether it is to end now."""

    def begin(self, total: int | None, done: int = 0) -> None:
        """Note how many bytes there are, if that is known, and how many of them have arrived."""

    def moved(self, count: int) -> None:
        """Note that further bytes have moved."""

    def waits(self, waiting: bool) -> None:
        """Note that nothing moves until the next try, or that the next try begins."""

    def on_stop(self, break_off: Callable[[], None] | None) -> None:
        """Set what is called, in another thread, to end a step that waits; None for nothing."""
