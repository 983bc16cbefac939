"""The size that a compressed image itself declares; decoders take memory for it, whatever the DICOM header says."""

from __future__ import annotations

JPEG_START = b"\xff\xd8"
"""Also of JPEG-LS."""

JPEG_2000_START = b"\xff\x4f\xff\x51"

FRAME_HEADERS = (*(0xC0 + n for n in range(16) if n not in (4, 8, 12)), 0xF7)
"""Markers of JPEG, and of JPEG-LS (0xF7), after which the size stands."""

WITHOUT_LENGTH = (0x01, 0xFF, *range(0xD0, 0xD9))
"""Markers that have no content, and the byte that may fill gaps."""


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 code stream; None if there are none to be found."""
    if stream.startswith(JPEG_2000_START):
        right, lower, left, upper = (int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20))
        return lower - upper, right - left
    if not stream.startswith(JPEG_START):
        return None
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in FRAME_HEADERS:
            return int.from_bytes(stream[at + 5 : at + 7], "big"), int.from_bytes(stream[at + 7 : at + 9], "big")
        length = 0 if marker in WITHOUT_LENGTH else int.from_bytes(stream[at + 2 : at + 4], "big")
        at += 1 if marker == 0xFF else 2 + length
    return None
