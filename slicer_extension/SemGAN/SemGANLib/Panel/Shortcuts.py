"""Keys of the panel."""

from __future__ import annotations

from typing import Callable

import qt


class Shortcuts:
    """Keys that work while the panel is visible.

    Args:
        widget: of the panel; Qt asks whether it is visible when a key is pressed anywhere in its window.
        actions: what to call by key, as in `"Ctrl+Shift+P"`.
    """

    def __init__(self, widget: qt.QWidget, actions: dict[str, Callable[[], None]]) -> None:
        self.keys = []
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), widget)
            shortcut.connect("activated()", action)
            self.keys.append(shortcut)
