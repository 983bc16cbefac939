"""Structures that a bundle names and nobody else knows: its metadata tell their colours and codes.

Whoever reads the metadata makes them known to `monai_semgan.organs`, where reports, label files and the job API look.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.organs import OWN_SCHEME, Code, Structure, register_structure, structure_key, structure_of

SECTION = "own_structures"
"""Of the metadata: name, code and colour of each."""


def describe(name: str, colour: Sequence[int]) -> dict[str, Any]:
    """Describe a structure for the metadata, with a code of its own.

    Args:
        name: of the label, such as `left adrenal mass`.
        colour: red, green, blue, 0 to 255.
    """
    plain, sides = structure_key(name)
    value = hashlib.sha256(plain.encode()).hexdigest()[:12].upper()  # at most 16 characters in DICOM
    meaning = plain.capitalize()[:64]
    code = {"value": value, "meaning": meaning, "scheme": OWN_SCHEME.designator}
    return {"name": plain, "colour": [int(part) for part in colour], "paired": bool(sides), "code": code}


def make_known(metadata: Mapping[str, Any]) -> None:
    """Register the structures of a bundle's metadata that are not known yet; what cannot be understood is left out.

    Args:
        metadata: of a bundle.
    """
    section = metadata.get(SECTION)
    for item in section if isinstance(section, list) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError, SemganError):
            if structure_of(str(item["name"])) is None:
                red, green, blue = (min(max(int(part), 0), 255) for part in item["colour"])
                code = Code(*(str(item["code"][key]) for key in ("value", "meaning", "scheme")))
                paired = bool(item.get("paired", False))
                register_structure(Structure(str(item["name"]), code, (red, green, blue), paired=paired))
