"""Threads of their own for requests that take long, so that those never keep the quick ones waiting."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from monai_semgan.jobs.job_errors import QueueFull

T = TypeVar("T")


class OwnThreads:
    """Lets requests of one kind run on threads apart from those of all other routes.

    Args:
        at_once: so many run.
        waiting: so many more wait for these; further ones are refused.
        kind: what they are, in the plural, for the message.
    """

    def __init__(self, at_once: int, waiting: int, kind: str) -> None:
        self.at_once, self.waiting, self.kind = at_once, waiting, kind

    async def run(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Do the work on one of the threads.

        Raises:
            QueueFull: too many wait already.
        """
        if self._limiter.statistics().tasks_waiting >= self.waiting:
            raise QueueFull(f"{self.at_once + self.waiting} {self.kind} are under way or waiting; try again later")
        return await to_thread.run_sync(partial(work, *arguments, **options), limiter=self._limiter)

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(self.at_once)


READING = OwnThreads(16, 240, "files")
"""Files that were received and are looked at; `scan_checks` lets few of them into memory at once."""
