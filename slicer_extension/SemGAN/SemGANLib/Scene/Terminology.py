"""Codes of segments in the form in which 3D Slicer keeps them."""

from __future__ import annotations

from ..Types.ModelTypes import Code, Label

CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"
NONE = "^^"

STANDARD_CATEGORY = "91723000"
SLICER_CATEGORY = Code("SCT", "123037004", "Anatomical Structure")
"""The category in Slicer's list; DICOM, and so the server, has another code for it."""


def terminology_entry(label: Label) -> str:
    """Write category, type and side of a structure as they are stored in the segment's terminology tag."""
    category = SLICER_CATEGORY if label.category.value == STANDARD_CATEGORY else label.category
    parts = [CONTEXT, _code(category), _code(label.kind), _code(label.side), ANATOMIC_CONTEXT, NONE, NONE]
    return "~".join(parts)


def _code(code: Code | None) -> str:
    if code is None:
        return NONE
    return "^".join(_plain(text) for text in (code.scheme, code.value, code.meaning))


def _plain(text: str) -> str:
    """Replace the characters that separate."""
    return text.replace("^", " ").replace("~", " ")
