"""Signals without Qt, for logic that is tested without it."""

from __future__ import annotations

from typing import Any, Callable


class Signal:
    """Calls whoever connected, in order of connection, in the thread that emits.

    >>> heard = []
    >>> changed = Signal("text")
    >>> changed.connect(heard.append)
    >>> changed.emit("ready")
    >>> heard
    ['ready']

    Args:
        arguments: what is emitted, in words; for readers only.
    """

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` from now on, once per emission however often it was connected."""
        if slot not in self._slots:
            self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` no more; unknown ones are ignored."""
        if slot in self._slots:
            self._slots.remove(slot)

    def emit(self, *values: Any) -> None:
        """Call all slots, save those that another one disconnects meanwhile."""
        for slot in list(self._slots):
            if slot in self._slots:
                slot(*values)
