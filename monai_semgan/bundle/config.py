"""Objects and settings from a configuration in MONAI's language, without MONAI.

Importing MONAI takes as long as segmenting a scan. What most bundles say about network and slices needs little of the
language: references (`@id`, `@id#key`), attributes (`$@id.name`), paths (`$@id + '/name'`) and `_target_` with a full
path. That much is done here; a configuration that says more goes to MONAI's `ConfigParser`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pydoc import locate
from typing import Any

REFERENCE = re.compile(r"@(\w+(?:(?:#|::)\w+)*)")
ATTRIBUTE = re.compile(r"\$" + REFERENCE.pattern + r"((?:\.[A-Za-z]\w*)+)")
JOINED = re.compile(r"\$" + REFERENCE.pattern + r" \+ '([^'\\]*)'")
IMPORT = re.compile(r"\$\s*(?:import|from)\s+(\w+)")
HARMLESS = ("monai", "monai_semgan", "numpy", "torch")
"""Importing these has no effect but time; other modules may register something, so the imports must be run."""

TARGET = "_target_"


class BeyondPlain(Exception):
    """Tell that a configuration says more than `PlainConfig` understands."""


class PlainConfig:
    """Resolve the plain part of MONAI's configuration language.

    Args:
        config: content of a configuration file.

    Raises:
        BeyondPlain: it imports modules that may have effects.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.resolved: dict[str, Any] = {}
        self.pending: set[str] = set()
        for text in _strings(config):
            statement = IMPORT.match(text)
            if statement and statement[1] not in HARMLESS:
                raise BeyondPlain(text)

    def get(self, name: str) -> Any:
        """Give what an id stands for; an object is built once.

        Raises:
            BeyondPlain: it needs more of the language, or does not exist.
        """
        name = name.replace("#", "::")
        if name not in self.resolved:
            if name in self.pending:
                raise BeyondPlain(f"circular reference {name}")
            self.pending.add(name)
            self.resolved[name] = self._value(name, self._found(name))
        return self.resolved[name]

    def _found(self, name: str) -> Any:
        """What the file says at an id."""
        value: Any = self.config
        for key in name.split("::"):
            try:
                value = value[int(key) if isinstance(value, list) else key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise BeyondPlain(f"no {name}") from None
        return value

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            parts = {key: self._part(f"{name}::{key}", part) for key, part in value.items() if key != TARGET}
            return _instance(value[TARGET], parts) if TARGET in value else parts
        if isinstance(value, list):
            return [self._part(f"{name}::{index}", part) for index, part in enumerate(value)]
        return value

    def _part(self, name: str, value: Any) -> Any:
        """A part of a section; one that is an object has an id of its own and may be referred to."""
        return self.get(name) if isinstance(value, Mapping) and TARGET in value else self._value(name, value)

    def _text(self, text: str) -> Any:
        if not text.startswith(("@", "$", "%")):
            return text
        if match := REFERENCE.fullmatch(text):
            return self.get(match[1])
        if match := JOINED.fullmatch(text):
            return self.get(match[1]) + match[2]
        match = ATTRIBUTE.fullmatch(text)
        if match is None:
            raise BeyondPlain(text)
        value = self.get(match[1])
        for attribute in match[2][1:].split("."):
            value = getattr(value, attribute)
        return value


def _instance(target: Any, arguments: dict[str, Any]) -> Any:
    special = [key for key in arguments if key.startswith("_") and key.endswith("_")]
    if special or not isinstance(target, str) or "." not in target:
        raise BeyondPlain(f"{target} with {special}")
    found = locate(target)
    if not callable(found):
        raise BeyondPlain(target)
    return found(**arguments)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(part)
