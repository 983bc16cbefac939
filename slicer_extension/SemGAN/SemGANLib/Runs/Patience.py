"""How often the server is asked how a job stands, and how long one that does not answer is asked again."""

from __future__ import annotations

from typing import Callable

from ..Server.Errors import ServerError

QUICK_SECONDS = 0.25
SLOW_SECONDS = 1.0
QUICK_FOR_SECONDS = 15.0
"""A job is looked at often while it is young: previews take seconds."""

PATIENCE_SECONDS = 600.0
"""How long a server that does not answer is asked again; jobs go on without their client."""


class Patience:
    """Of one run with its server.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Note that the run begins."""
        self._begun = self._answered = self._clock()

    def answered(self) -> None:
        """Note that the server has answered."""
        self._answered = self._clock()

    def pause(self) -> float:
        """Find how long to wait before the job is looked at again."""
        return QUICK_SECONDS if self._clock() - self._begun < QUICK_FOR_SECONDS else SLOW_SECONDS

    def long_pause(self) -> float:
        """Find how long to wait before a server that did not answer is asked again."""
        return SLOW_SECONDS

    def bears(self, error: Exception) -> bool:
        """Tell whether it is asked again after an error: one that passes, and not for too long."""
        passing = isinstance(error, ServerError) and error.passing
        return passing and self._clock() - self._answered <= PATIENCE_SECONDS
