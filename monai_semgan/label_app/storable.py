"""What the list of images and labels can hold: checked before it is stored, since the whole list is one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import is_text

MAX_DEPTH = 32
"""Lists and objects inside each other; readers of JSON give up between 100 and 1000."""

MAX_TEXT = 1 << 16
"""Characters of one text."""

MAX_SIZE = 1 << 20
"""Characters of everything that is noted of one image or label, about as JSON counts them."""

MAX_DIGITS = 400
"""Digits of a whole number; every float has fewer."""

T = TypeVar("T")


def storable(content: T, name: str = "info", limit: int = MAX_SIZE) -> T:
    """Return what a client or a model wants noted, if the list of images and labels can hold it.

    Args:
        content: what JSON can hold; anything else is stored as its text.
        name: of the field, for the message.
        limit: characters altogether.

    Raises:
        SemganError: a text holds half a character, or is too long; lists or objects are nested too deep; a key is no
            text; or it is too much altogether.
    """
    size, waiting = 0, [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, Mapping | list | tuple):
            if depth > MAX_DEPTH:
                raise SemganError(f"{name} is nested more than {MAX_DEPTH} deep", remedy="send it flat")
            keys = list(value) if isinstance(value, Mapping) else []
            size += 2 + 4 * len(value) + sum(_key_size(key, name) for key in keys)
            parts = value.values() if isinstance(value, Mapping) else value
            if size <= limit:
                waiting.extend((part, depth + 1) for part in parts)
        else:
            size += _size(value, name)
        if size > limit:
            raise SemganError(f"{name} is larger than {limit >> 20} MB", remedy="send less")
    return content


def _key_size(key: object, name: str) -> int:
    if not isinstance(key, str | int | float | None):
        raise SemganError(f"{name} has a key that is no text", remedy="name it by a text")
    return _size(key, name)


def _size(value: object, name: str) -> int:
    if value is None or isinstance(value, bool | float):
        return 8
    if isinstance(value, int):
        if value.bit_length() > MAX_DIGITS * 3:
            raise SemganError(f"{name} has a number of more than {MAX_DIGITS} digits", remedy="send a smaller one")
        return 1 + value.bit_length() // 3
    text = str(value)
    if len(text) > MAX_TEXT:
        raise SemganError(f"{name} has a text of more than {MAX_TEXT} characters", remedy="send a shorter one")
    if not is_text(text):
        raise SemganError(f"{name} has a text with half a character (a lone surrogate)", remedy="send whole characters")
    return len(text)
