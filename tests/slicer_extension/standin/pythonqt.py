"""Subclasses of PySide6's classes that behave as PythonQt's do."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

VIRTUAL = {"sizeHint", "minimumSizeHint"}
"""Properties that Qt itself calls as virtual functions: those stay functions."""

SIGNATURE = re.compile(r"^\s*(\w+)\s*\((.*)\)\s*$")


@cache
def python_qt_class(base: type) -> type:
    """Derive a class of a QObject class: properties are attributes, signals are connected by signature."""
    members: dict[str, Any] = {
        "__init__": _initialiser(base),
        "className": lambda self: self.metaObject().className(),
        "name": property(lambda self: self.objectName),
        "__setattr__": _set_known_attribute,
        "generated": True,
    }
    description = base.staticMetaObject
    for index in range(description.propertyCount()):
        name = description.property(index).name()
        if name not in VIRTUAL:
            members[name] = _property(base, name)
    return type(base.__name__, (base,), members)


def _initialiser(base: type) -> Callable[..., None]:
    def initialise(self: Any, *arguments: Any, **options: Any) -> None:
        base.__init__(self, *arguments, **options)
        # in the instance: PySide6 hides what a subclass of a subclass inherits under these names
        self.__dict__.update(connect=partial(connect, self), disconnect=partial(disconnect, self))

    return initialise


def _property(base: type, name: str) -> property:
    def read(self: Any) -> Any:
        return QtCore.QObject.property(self, name)

    def write(self: Any, value: Any) -> None:
        if not QtCore.QObject.setProperty(self, name, value):
            raise AttributeError(f"{base.__name__}.{name} cannot be {value!r}")

    return property(read, write)


def _set_known_attribute(self: Any, name: str, value: Any) -> None:
    member = getattr(type(self), name, None)
    if isinstance(member, property):
        member.__set__(self, value)
    elif "generated" in vars(type(self)):
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")
    else:
        self.__dict__[name] = value


def connect(self: Any, signature: str, function: Callable[..., Any]) -> bool:
    """Connect as PythonQt does: `signature` names the signal with its C++ argument types."""
    name, types = parsed(self, signature)

    def slot(*values: Any) -> None:
        function(*values[: len(types)])

    self.__dict__.setdefault("_connections", {})[normalised(signature), function] = slot
    if has_signal(self, signature):
        return bool(QtCore.QObject.connect(self, QtCore.SIGNAL(normalised(signature)), slot))
    return bool(getattr(self, name).connect(slot))


def disconnect(self: Any, signature: str, function: Callable[..., Any]) -> bool:
    """Undo `connect`."""
    name, _ = parsed(self, signature)
    slot = self.__dict__.get("_connections", {}).pop((normalised(signature), function), None)
    if slot is None:
        return False
    if has_signal(self, signature):
        return QtCore.QObject.disconnect(self, QtCore.SIGNAL(normalised(signature)), slot)
    return getattr(self, name).disconnect(slot)


def parsed(sender: Any, signature: str) -> tuple[str, list[str]]:
    """Split a signature into name and C++ types; an error where the sender has no such signal."""
    match = SIGNATURE.match(signature)
    known = getattr(type(sender), "slicer_signals", ())
    if match is None or not (normalised(signature) in known or has_signal(sender, signature)):
        raise RuntimeError(f"{type(sender).__name__} has no signal {signature}")
    return match.group(1), [one for one in match.group(2).split(",") if one.strip()]


def has_signal(sender: Any, signature: str) -> bool:
    """Tell whether Qt itself gives the sender this signal."""
    return sender.metaObject().indexOfSignal(normalised(signature)) >= 0


def normalised(signature: str) -> str:
    """Write a signature as Qt does."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


class QtNamespace:
    """The module `qt`: all classes of Qt in one place, those with properties in PythonQt's manners."""

    def __init__(self, extra: dict[str, Any]) -> None:
        vars(self).update(extra)
        self.__name__ = "qt"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for module in (QtCore, QtGui, QtWidgets):
            if hasattr(module, name):
                found = getattr(module, name)
                is_object = isinstance(found, type) and issubclass(found, QtCore.QObject)
                if is_object and name not in {"QApplication", "QObject", "QSettings"}:
                    found = python_qt_class(found)
                return found
        raise AttributeError(f"Qt has no {name}")
