"""Tooltips of texts that are not the module's own."""

from __future__ import annotations

import html
from collections.abc import Iterable


def tooltip(lines: Iterable[str]) -> str:
    """Write lines as a tooltip; tooltips guess whether a text is HTML, and these are a server's."""
    found = [html.escape(line) for line in lines if line]
    return "<p>" + "<br>".join(found) + "</p>" if found else ""
