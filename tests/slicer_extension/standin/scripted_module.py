"""Stand-in for `slicer.ScriptedLoadableModule`: the base classes of Slicer's Python modules."""

from __future__ import annotations

import importlib
import os
import sys
import unittest
from typing import Any

import slicer
from PySide6 import QtWidgets

from tests.slicer_extension.standin.pythonqt import python_qt_class


class ScriptedLoadableModule:
    """Describes a module; `parent` is the module object of the application."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", name)


class ScriptedLoadableModuleWidget:
    """The panel of a module."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout() or python_qt_class(QtWidgets.QVBoxLayout)(parent)

    def resourcePath(self, name: str) -> str:
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

    def setup(self) -> None:
        """Do nothing: the developer's section of Slicer is left out."""

    def onReload(self) -> None:
        """Do nothing: Slicer would read the module's file again."""
        importlib.reload(sys.modules[self.moduleName])


class ScriptedLoadableModuleLogic:
    """What a module can do without its panel."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A self test."""

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        slicer.app.processEvents()


__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleWidget",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
]
