"""A timer of Qt for the runner."""

from __future__ import annotations

from typing import Callable

import qt


class QtTimer:
    """See `Protocols.ApplicationProtocol.Timer`."""

    def __init__(self) -> None:
        self._timer = qt.QTimer()
        self._call: Callable[[], None] | None = None
        self._timer.connect("timeout()", self._on_timeout)

    def start(self, milliseconds: int, call: Callable[[], None]) -> None:
        """Call again and again until `stop`."""
        self._call = call
        self._timer.start(milliseconds)

    def stop(self) -> None:
        """Call no more."""
        self._timer.stop()
        self._call = None

    def _on_timeout(self) -> None:
        if self._call is not None:
            self._call()
