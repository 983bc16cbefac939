"""Text of DICOM headers: decoded from every character set that the standard knows, code extensions included.

pydicom (3.0.2) reads what is declared as the standard has it, but for GB 2312, whose escape sequences stay in the text,
and Latin-9. Here misspelt terms, escapes to sets that are not declared, and text in another set than declared are read
as well. Bytes are decoded before they are split: in Japanese and Chinese encodings a backslash, caret or equals sign
may be half a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from pydicom import Dataset

LATIN, UNICODE = "ISO_IR 100", "ISO_IR 192"

TEXT_VRS = ("SH", "LO", "ST", "LT", "UC", "UT", "PN")
"""Value representations that (0008,0005) applies to."""

_INITIAL = {
    "6": "ascii", "13": "shift_jis", "100": "latin_1", "101": "iso8859_2", "109": "iso8859_3", "110": "iso8859_4",
    "126": "iso8859_7", "127": "iso8859_6", "138": "iso8859_8", "144": "iso8859_5", "148": "iso8859_9",
    "166": "iso8859_11", "203": "iso8859_15", "192": "utf_8", "87": "shift_jis", "159": "shift_jis",
    "149": "cp949", "58": "gb18030",
}  # fmt: skip
"""Codec by the registration number in a defined term; of multi-byte sets the codec of what stands before an escape."""

_NAMED = {"GB18030": "gb18030", "GBK": "gb18030", "UTF8": "utf_8", "LATIN1": "latin_1", "ASCII": "ascii"}

_ESCAPES = {
    b"(B": "ascii", b"(J": "ascii", b"$@": "iso2022_jp_2", b"$B": "iso2022_jp_2", b"$(D": "iso2022_jp_2",
    b")I": "shift_jis", b"$)C": "cp949", b"$)A": "gb18030", b"-A": "latin_1", b"-B": "iso8859_2", b"-C": "iso8859_3",
    b"-D": "iso8859_4", b"-F": "iso8859_7", b"-G": "iso8859_6", b"-H": "iso8859_8", b"-L": "iso8859_5",
    b"-M": "iso8859_9", b"-T": "iso8859_11", b"-b": "iso8859_15",
}  # fmt: skip
"""Codec by escape sequence (PS3.3 C.12.1.1.2)."""

_PAIRS = (b"$@", b"$B", b"$(D")
"""Escapes to sets of two bytes of 7 bits each, among which every byte may be half a character."""

_ESCAPE = re.compile(rb"\x1b(\$[()]?[@-Z]|[()\-][@-Zb])")


def decode(raw: bytes, terms: Sequence[str], delimiters: bytes = b"\\\r\n\t\f") -> tuple[str, bool]:
    r"""Decode a value.

    Args:
        raw: its bytes.
        terms: values of (0008,0005), such as `["", "ISO 2022 IR 87"]`.
        delimiters: what ends the reach of an escape sequence; with `^` and `=` for names of persons.

    Returns:
        The text, and whether it was what the character set promises. What cannot be decoded is taken for UTF-8 or,
        failing that, Latin-1.

    Examples:
        >>> decode(b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ["", "ISO 2022 IR 87"])
        ('山田^太郎', True)
    """
    initial = _codec(terms[0] if terms else "")
    try:
        return _decoded(raw, initial or "ascii", delimiters), initial is not None or raw.isascii()
    except UnicodeDecodeError:
        plain = _ESCAPE.sub(b"", raw)
    try:
        return plain.decode("utf_8"), False
    except UnicodeDecodeError:
        return plain.decode("latin_1"), False


def _decoded(raw: bytes, initial: str, delimiters: bytes) -> str:
    parts = []
    codec, escape, begin = initial, b"", 0
    for match in (*_ESCAPE.finditer(raw), None):
        run = raw[begin : match.start() if match else len(raw)]
        if escape in _PAIRS:
            parts.append((b"\x1b" + escape + run).decode("iso2022_jp_2"))
        else:
            cut = next((i for i, byte in enumerate(run) if byte in delimiters), len(run)) if codec != initial else 0
            parts.append(run[:cut].decode(codec) + run[cut:].decode(initial))
            codec = initial if cut < len(run) else codec
        if match:
            escape, begin = match[1], match.end()
            if escape not in _PAIRS and not escape.startswith(b"("):
                codec = _ESCAPES.get(escape, codec)
    return "".join(parts)


def _codec(term: str) -> str | None:
    """Find the codec of a defined term, however it is spelt; None if it is unknown."""
    plain = re.sub(r"[^A-Z0-9]", "", term.upper())
    if plain in _NAMED:
        return _NAMED[plain]
    number = re.fullmatch(r"(?:ISO(?:2022)?(?:IR)?)?(\d*)", plain)
    return _INITIAL.get(number[1].lstrip("0") or "6") if number else None


def text_of(dataset: Dataset, keyword: str, terms: Sequence[str]) -> tuple[str, bool]:
    """Decode an element of text or words; see `decode`.

    Args:
        dataset: holds it, or not: the text is empty then.
        keyword: of the element.
        terms: see `terms_of`.
    """
    raw, vr = _raw(dataset, keyword), dictionary_VR(keyword)
    if isinstance(raw, str):
        return raw, True
    if vr not in TEXT_VRS:
        return raw.decode("latin_1"), True
    return decode(raw, terms, b"\\\r\n\t\f^=" if vr == "PN" else b"\\\r\n\t\f")


def raw_text(dataset: Dataset, keyword: str) -> str:
    """Return the bytes of an element as Latin-1, which suits UIDs and codes."""
    raw = _raw(dataset, keyword)
    return raw if isinstance(raw, str) else raw.decode("latin_1")


def terms_of(dataset: Dataset, inherited: list[str]) -> list[str]:
    """Return the values of (0008,0005), for an item without it those of the data set around it."""
    text = raw_text(dataset, "SpecificCharacterSet")
    return [term.strip("\0 ") for term in text.split("\\")] if "SpecificCharacterSet" in dataset else inherited


def _raw(dataset: Dataset, keyword: str) -> bytes | str:
    """The bytes of an element as they are in the file; text where pydicom has looked at them before."""
    tag = tag_for_keyword(keyword)
    element: Any = dataset.get_item(tag) if tag is not None and tag in dataset else None
    value = None if element is None else element.value
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    return "\\".join(map(str, value)) if isinstance(value, (list, tuple, MultiValue)) else str(value)


def declare_character_set(dataset: Dataset, skip: Sequence[str] = ()) -> None:
    """Name the character set that holds all text of a data set: Latin-1, which every reader knows, or UTF-8.

    Args:
        dataset: is changed.
        skip: keywords of sequences without text, which may be long.
    """
    plain = all(_is_latin(text) for text in _texts(dataset, skip))
    dataset.SpecificCharacterSet = LATIN if plain else UNICODE


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin_1")
    except UnicodeEncodeError:
        return False
    return True


def _texts(dataset: Dataset, skip: Sequence[str]) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ" and element.keyword not in skip:
            for item in element.value:
                yield from _texts(item, skip)
        elif element.VR in TEXT_VRS:
            yield str(element.value)
