"""What the docstring of a settings dataclass says of its fields, as a table for command line and documentation."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any

from monai_semgan.utils.settings import field_names

ENTRY = re.compile(r" {4}(\w+): (.*)")
"""An entry of a section `Args:` in a docstring without indentation."""


@dataclass(frozen=True)
class FieldText:
    """One setting.

    Attributes:
        name: of the field.
        default: as it is written in Python; empty if it has none.
        meaning: what the docstring says, in one line.
    """

    name: str
    default: str
    meaning: str


def field_texts(kind: type) -> list[FieldText]:
    """Tell the fields of a settings dataclass, those of its bases included, with default and meaning.

    Args:
        kind: dataclass whose docstring, in Google style, has an entry for each of its own fields.
    """
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        meanings |= _entries(inspect.cleandoc(base.__doc__ or ""))
    fields = {field.name: field for field in dataclasses.fields(kind)}
    return [FieldText(name, _default(fields[name]), meanings.get(name, "")) for name in field_names(kind)]


def _entries(text: str) -> dict[str, str]:
    """The entries of the section `Args:`."""
    found: dict[str, str] = {}
    name = ""
    lines = text.partition("Args:\n")[2].splitlines()
    for line in lines:
        if line and not line.startswith(" "):
            break
        entry = ENTRY.fullmatch(line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return "" if field.default_factory is dataclasses.MISSING else repr(field.default_factory())
