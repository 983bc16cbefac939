"""Translation of texts for people: Slicer's own inside Slicer, none elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress


def tr(text: str) -> str:
    """Give the text as it is."""
    return text


if "slicer" in sys.modules:  # never the first to load it
    with suppress(ImportError):  # Slicer's core has no translations
        from slicer.i18n import tr as tr
