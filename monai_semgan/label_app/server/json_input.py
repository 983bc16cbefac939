"""Reads JSON of clients: only what can be stored, answered and read again by anybody."""

from __future__ import annotations

import json
import math
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.label_app.storable import MAX_DEPTH, MAX_SIZE, storable


def read_json(text: str | bytes, name: str, limit: int = MAX_SIZE) -> Any:
    """Return the content of a JSON text.

    Args:
        text: as it was sent.
        name: of the field, for the message.
        limit: see `storable`.

    Raises:
        SemganError: it is no JSON, holds a number that is none or too large, or is not `storable`.
    """
    try:
        content = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise SemganError(f"{name} is nested more than {MAX_DEPTH} deep", remedy="send it flat") from None
    except _NoNumber:
        problem = f"{name} has a number that is not finite"
        raise SemganError(problem, remedy="JSON has no NaN and no Infinity; leave the value out") from None
    except ValueError:  # also bytes that are no UTF-8, and whole numbers of thousands of digits
        raise SemganError(f"{name} is no JSON in UTF-8") from None
    return storable(content, name, limit)


class _NoNumber(ValueError):
    pass


def _no_number(word: str) -> float:
    raise _NoNumber(word)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _NoNumber(digits[:20])
    return value
