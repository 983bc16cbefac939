"""JSON that every program reads: NaN and infinity, which the format lacks, stand there as null."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def json_text(content: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as JSON; numbers that are not finite become null; `nan_where_null` brings back NaN.

    Args:
        content: what JSON can hold, or `default` makes of it.
        indent: of its lines; all in one line when left out.
        default: called for anything else.
    """
    return json.dumps(finite(content), indent=indent, default=default, allow_nan=False)


def finite(content: Any) -> Any:
    """Return a value with None in place of every number in it that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def nan_where_null(content: Any) -> Any:
    """Return numbers that were read from JSON, in lists and objects or alone, with NaN where null stands."""
    if isinstance(content, dict):
        return {key: nan_where_null(value) for key, value in content.items()}
    if isinstance(content, list):
        return [nan_where_null(value) for value in content]
    return math.nan if content is None else content
