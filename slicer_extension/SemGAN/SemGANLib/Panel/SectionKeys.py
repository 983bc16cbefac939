"""Keys that work while a section of the panel is open, save those that something else in the window has already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

import qt


class SectionKeys:
    """Keys of a section.

    Text fields go before keys of one letter: Qt asks the field with the focus first.

    Args:
        widget: of the section; keys work in the whole window while it is visible.
        actions: what to call by key, as in `"Shift+E"`.
    """

    def __init__(self, widget: qt.QWidget, actions: Mapping[str, Callable[[], None]]) -> None:
        self._widget = widget
        self._actions = dict(actions)
        self._shortcuts: list[Any] = []

    @property
    def installed(self) -> bool:
        """Whether the keys work."""
        return bool(self._shortcuts)

    def install(self) -> tuple[str, ...]:
        """Let the keys work.

        Returns:
            Those that are left to whoever has them: another extension, or the application itself.
        """
        self.remove()
        others = _keys_in_use(self._widget.window())
        taken = tuple(key for key in self._actions if _written(key) in others)
        for key, action in self._actions.items():
            if key not in taken:
                shortcut = qt.QShortcut(qt.QKeySequence(key), self._widget)
                shortcut.connect("activated()", action)
                self._shortcuts.append(shortcut)
        return taken

    def remove(self) -> None:
        """Let the keys go."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


def _keys_in_use(window: Any) -> set[str]:
    """Find keys of shortcuts and of menu entries in a window, as far as they would work now."""
    found = set()
    waiting = [window]
    while waiting:
        one = waiting.pop()
        children = list(one.children())
        waiting += children
        found |= {_written(key) for child in children for key in _keys_of(child)}
    return found - {""}


def _keys_of(child: Any) -> list[Any]:
    if child.inherits("QShortcut"):
        owner = child.parent()
        works = child.property("enabled") and (not owner.isWidgetType() or owner.property("visible"))
        return [child.property("key")] if works else []
    if child.inherits("QAction"):
        return [child.property("shortcut")] if child.property("enabled") and child.property("visible") else []
    return []


def _written(key: Any) -> str:
    return str(qt.QKeySequence(key).toString())
