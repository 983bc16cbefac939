"""Looks into DICOM files that are compressed as a whole (deflate) before pydicom inflates them into memory."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_files import MAX_ENTRY_BYTES, DicomFile
from monai_semgan.io.limits import FREE_BYTES, USUAL_INFLATION

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""UID of the transfer syntax, which stands in the part of the file that is not compressed."""

META = 132
"""Where that part begins: behind preamble and mark."""

HEAD_BYTES = 2048
PIECE = 1 << 20


def is_deflated(stream: BinaryIO) -> bool:
    """Tell whether a file is compressed as a whole; leaves the stream at its beginning."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if DEFLATED not in head or head[META : META + 4] != b"\x02\x00\x00\x00":
        return False
    (length,) = struct.unpack_from("<I", head, META + 8)
    return DEFLATED in head[: META + 12 + length]  # and not in a text behind it


def check_deflated(stream: BinaryIO, file: DicomFile) -> None:
    """Make sure that a file does not inflate to what no scan holds; leaves the stream at its beginning.

    Raises:
        SemganError: it does.
        zlib.error: the compressed data are damaged.
    """
    if not is_deflated(stream):
        return
    head = stream.read(META + 12)
    # (0002,0000) UL, length 4, then how many bytes of the uncompressed part follow
    (length,) = struct.unpack_from("<I", head, META + 8)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(META + 12 + length)
    allowed = min(MAX_ENTRY_BYTES, max(FREE_BYTES, USUAL_INFLATION * size))
    if any(total > allowed for total in _inflated_sizes(stream)):
        raise SemganError(
            f"unpacks to more than {allowed / 2**30:.1f} GB: it may be a zip bomb",
            remedy="export it again without compression",
            path=file.path,
        )
    stream.seek(0)


def _inflated_sizes(stream: BinaryIO) -> Iterator[int]:
    """Bytes of content so far, piece by piece; nothing is kept."""
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof and (content := stream.read(PIECE)):
        while content:
            total += len(inflater.decompress(content, PIECE))
            content = inflater.unconsumed_tail
            yield total
