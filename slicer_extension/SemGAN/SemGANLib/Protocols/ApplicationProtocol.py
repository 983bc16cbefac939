"""What the application gives: questions to the user, settings, a clock in the main thread."""

from __future__ import annotations

from typing import Any, Callable, Protocol

Confirm = Callable[[str, str], bool]
"""Asks the user: title and text of a yes/no question; True for yes. In Slicer `slicer.util.confirmYesNoDisplay`."""


class Settings(Protocol):
    """Settings of the application that outlive it, as `qt.QSettings`."""

    def value(self, key: str, default: Any = None) -> Any:
        """Look up what is stored, or `default`."""

    def setValue(self, key: str, value: Any) -> None:
        """Store a value."""

    def remove(self, key: str) -> None:
        """Remove a value."""


class Timer(Protocol):
    """Calls in the main thread. In Slicer a `qt.QTimer`; in tests the test itself calls `Runner.pump`."""

    def start(self, milliseconds: int, call: Callable[[], None]) -> None:
        """Call again and again until `stop`."""

    def stop(self) -> None:
        """Call no more."""
