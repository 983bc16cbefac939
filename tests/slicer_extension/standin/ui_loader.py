"""Loads Qt Designer's files with stand-ins for Slicer's widgets."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from tests.slicer_extension.standin.pythonqt import python_qt_class


class UiLoader(QtUiTools.QUiLoader):
    """As Qt's own, with widgets in PythonQt's manners; connections of Slicer's widgets are made by name."""

    custom: dict[str, type] = {}
    """Widget classes by their C++ name; filled by `application.install`."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        """Make a widget; called by Qt for every one of a file."""
        if class_name in self.custom:
            widget = self.custom[class_name](parent)
        elif hasattr(QtWidgets, class_name):
            widget = python_qt_class(getattr(QtWidgets, class_name))(parent)
        else:
            raise RuntimeError(f"the .ui file uses {class_name}, which nobody knows")
        widget.objectName = name
        self.made.append(widget)
        return widget

    def load(self, file: Any, parent: Any = None) -> Any:
        """Load the widget of an open file."""
        self.made: list[Any] = []
        text = bytes(file.readAll().data()).decode()
        file.close()
        without = re.sub(r"<connections>.*</connections>", "", text, flags=re.DOTALL)
        buffer = QtCore.QBuffer()
        buffer.setData(without.encode())
        buffer.open(QtCore.QIODevice.ReadOnly)
        root = super().load(buffer, parent)
        if root is None:
            raise RuntimeError(self.errorString())
        widgets = {widget.objectName: widget for widget in self.made}
        for one in ElementTree.fromstring(text).iter("connection"):
            sender, signal, receiver, slot = (one.findtext(key) for key in ("sender", "signal", "receiver", "slot"))
            widgets[sender].connect(signal, getattr(widgets[receiver], slot.split("(")[0]))
        for widget in self.made:
            if hasattr(widget, "take_properties"):
                widget.take_properties()
        root.__dict__["_made"] = self.made  # keeps the Python halves alive
        return root
