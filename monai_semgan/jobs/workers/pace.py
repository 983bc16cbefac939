"""How often a job writes what it has found so far."""

from __future__ import annotations

import time

PARTIAL_SHARE = 0.2
"""Partial results take at most this share of a job's time."""


class PartialPace:
    """Tells when the next partial result is due; the first one always is.

    Args:
        seconds: least time between two.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether the last one is long enough ago."""
        return time.monotonic() >= self._next

    def written(self, begun: float) -> None:
        """Note that one was made and written; the more time that took, the later is the next.

        Args:
            begun: when it began, by the monotonic clock.
        """
        now = time.monotonic()
        self._next = now + max(self._seconds, (now - begun) * (1 / PARTIAL_SHARE - 1))
