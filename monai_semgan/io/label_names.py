"""Names of label ids as text that travels through dictionary transforms."""

from __future__ import annotations

import json

NAMES = "label_names"
"""Key under which an entry carries the list's organ names through MONAI's transforms, as JSON."""


def names_text(names: tuple[tuple[int, str], ...]) -> str:
    """Organ names by label id as JSON; empty without names."""
    return json.dumps(names) if names else ""


def names_from(text: str | None) -> dict[int, str] | None:
    """What `names_text` wrote; None without names."""
    return dict(json.loads(text)) if text else None
