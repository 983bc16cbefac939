"""Texts with words that are too long for a line of the panel, such as ids of DICOM series."""

from __future__ import annotations

import re

LONGEST = 36
"""Characters of a word that a line of a narrow panel always has room for."""

BREAK = "\u200b"
"""Takes no room, and a line may end at it."""

_LONG = re.compile(rf"\S{{{LONGEST + 1},}}")
_PIECE = re.compile(rf".{{1,{LONGEST}}}")


def wrapped(text: str) -> str:
    """Let lines end within long words; all others stay as they are.

    >>> wrapped("a word").count(BREAK), wrapped("1.2.840." * 8).count(BREAK)
    (0, 1)
    """
    return _LONG.sub(lambda word: BREAK.join(_PIECE.findall(word.group())), text)
