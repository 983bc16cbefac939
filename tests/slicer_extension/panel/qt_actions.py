"""What a user does with a mouse and a keyboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets


def settle() -> None:
    """Let Qt do what is due."""
    QtWidgets.QApplication.processEvents()


def shown(widget: Any) -> bool:
    """Tell whether the widget would be seen if it were not scrolled away."""
    settle()
    return bool(widget.visible)


def unfold(*sections: Any) -> None:
    """Open sections, the outer ones first, as a click on their headers does."""
    for section in sections:
        section.collapsed = False
    settle()


def click(widget: Any) -> None:
    """Click into the middle of a widget, which must be one that can be clicked."""
    settle()
    assert widget.visible and widget.enabled, f"{widget.objectName} cannot be clicked"
    QtTest.QTest.mouseClick(widget, QtCore.Qt.LeftButton)
    settle()


def click_at(widget: Any, x: int, y: int) -> None:
    """Click at a place of a widget, in pixels."""
    settle()
    QtTest.QTest.mouseClick(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, QtCore.QPoint(x, y))
    settle()


def type_into(widget: Any, text: str) -> None:
    """Replace the text of a field by typing."""
    widget.clear()
    QtTest.QTest.keyClicks(widget, text)
    settle()


def key(widget: Any, keys: str) -> None:
    """Press keys such as `"Ctrl+Shift+P"` in the window of a widget."""
    combination = QtGui.QKeySequence(keys)[0]
    window = widget.window()
    window.activateWindow()
    settle()
    QtTest.QTest.keyClick(window, combination.key(), combination.keyboardModifiers())
    settle()


def wait_until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    """Let Qt work until something is so."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not happen in time"
        settle()
        time.sleep(0.005)
