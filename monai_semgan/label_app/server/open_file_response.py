"""Sends a file that is open already, so that it stays the one that its ETag tells of while others replace it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from monailabel.utils.others.generic import get_mime_type

from monai_semgan.label_app.server.label_conditions import quoted

BLOCK_BYTES = 256 << 10


class OpenFileResponse(StreamingResponse):
    """Answers with the content of an open file and closes it.

    Args:
        stream: from its beginning.
        name: of the file, for the client.
        etag: digest of the content.
    """

    def __init__(self, stream: IO[bytes], name: str, etag: str) -> None:
        headers = {
            "ETag": quoted(etag),
            "Content-Length": str(os.fstat(stream.fileno()).st_size),
            "Content-Disposition": _disposition(name),
        }
        super().__init__(_blocks(stream), media_type=get_mime_type(name), headers=headers)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _disposition(name: str) -> str:
    encoded = quote(name)
    return f'attachment; filename="{name}"' if encoded == name else f"attachment; filename*=utf-8''{encoded}"
