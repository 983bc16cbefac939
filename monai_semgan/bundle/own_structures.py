"""Structures that a bundle names and nobody else knows: its metadata tell their colours and codes.

Whoever reads the metadata makes them known to `monai_semgan.organs`, where reports, label files and the job API look.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.organs import OWN_SCHEME, Code, Structure, other_side, register_structure, structure_key, structure_of

SECTION = "own_structures"
"""Of the metadata: name, code and colour of each."""


def describe(name: str, colour: Sequence[int]) -> dict[str, Any]:
    """Describe a structure for the metadata, with a code of its own.

    Args:
        name: of the label, such as `left adrenal mass`.
        colour: red, green, blue, 0 to 255; of this side, where the name tells one.
    """
    plain, sides = structure_key(name)
    value = hashlib.sha256(plain.encode()).hexdigest()[:12].upper()  # at most 16 characters in DICOM
    meaning = plain.capitalize()[:64]
    code = {"value": value, "meaning": meaning, "scheme": OWN_SCHEME.designator}
    told = {"name": plain, "colour": [int(part) for part in colour], "paired": bool(sides), "code": code}
    return told | ({"side": sides[0]} if len(sides) == 1 else {})


def make_known(metadata: Mapping[str, Any]) -> None:
    """Register the structures of a bundle's metadata that are not known yet; what cannot be understood is left out.

    Args:
        metadata: of a bundle.
    """
    section = metadata.get(SECTION)
    found: dict[str, Structure] = {}
    for item in section if isinstance(section, list) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            one = _understood(item)
            found[one.name] = _both_sides(found[one.name], one) if one.name in found else one
    for one in found.values():
        if structure_of(one.name) is None:
            with contextlib.suppress(SemganError):
                register_structure(one)


def _understood(item: Mapping[str, Any]) -> Structure:
    """The structure of an entry; the colour of a left one is its own, and the right one gets another."""
    red, green, blue = (min(max(int(part), 0), 255) for part in item["colour"])
    colour = (red, green, blue)
    code = Code(*(str(item["code"][key]) for key in ("value", "meaning", "scheme")))
    if item.get("side") == "left":
        return Structure(str(item["name"]), code, other_side(colour), paired=True, left_colour=colour)
    return Structure(str(item["name"]), code, colour, paired=bool(item.get("paired", False)))


def _both_sides(first: Structure, second: Structure) -> Structure:
    """One structure of two entries, of which each may tell of one side."""
    if second.left_colour is not None:
        return replace(first, paired=True, left_colour=second.left_colour)
    if first.left_colour is not None and second.paired:
        return replace(first, colour=second.colour)
    return first
