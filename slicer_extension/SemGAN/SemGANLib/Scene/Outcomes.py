"""The newest result of a volume, as the panel shows it."""

from __future__ import annotations

from typing import Any

from ..ResultTexts import domain_warning
from ..Views import Outcome
from .Records import record_of


def outcome_of(volume: Any) -> Outcome | None:
    """Find the newest result of a volume; None where there is none, or its segmentation is gone."""
    record = record_of(volume)
    result = record.result if record else None
    if record is None or result is None or record.segmentation is None:
        return None
    maps = {part: node.GetID() for part, node in record.maps.items()}
    return Outcome(
        volume.GetID(),
        record.segmentation.GetID(),
        maps,
        domain_warning(result.domain),
        result.job,
        result,
        result.notes,
    )
