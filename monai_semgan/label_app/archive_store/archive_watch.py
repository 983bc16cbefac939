"""Looks into an archive every now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
"""Between two looks."""

SHARE = 10.0
"""Looking takes at most one part in so many of the time: the list of a large archive takes a while."""


class ArchiveWatch:
    """Calls a function again and again, in a thread of its own.

    Args:
        look: lists the archive, and brings the list of images up to date.
        seconds: between two looks.
    """

    def __init__(self, look: Callable[[], None], seconds: float = LOOK_SECONDS) -> None:
        self._look, self._seconds = look, seconds
        self._wanted, self._stopped = threading.Event(), False
        threading.Thread(target=self._run, daemon=True, name="archive-watch").start()

    def again(self) -> None:
        """Have the archive looked into now."""
        self._wanted.set()

    def stop(self) -> None:
        """End it."""
        self._stopped = True
        self._wanted.set()

    def _run(self) -> None:
        pause = self._seconds
        while True:
            self._wanted.wait(pause)
            self._wanted.clear()
            if self._stopped:
                return
            started = time.monotonic()
            try:
                self._look()
            except Exception as error:  # the next look may go better
                log.error("the archive could not be looked into: %s", type(error).__name__)
            pause = max(self._seconds, SHARE * (time.monotonic() - started))
