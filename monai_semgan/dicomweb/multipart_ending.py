"""Answers in parts that break off: HTTP does not tell where a server ends in order what it has not sent whole."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests


def check_ending(answer: requests.Response, stream: bool) -> None:
    """Refuse an answer in parts without its last boundary (RFC 2046 5.1.1), whose last part is cut off.

    Args:
        answer: of any kind; what is not in parts passes.
        stream: whether it is read later: the error comes then, before the last part is given out.

    Raises:
        requests.exceptions.ChunkedEncodingError: it breaks off.
    """
    ending = _ending(answer.headers.get("Content-Type", ""))
    if ending is None or not answer.ok:
        return
    if not stream:
        _check(ending in answer.content)
        return
    read = answer.iter_content

    def read_to_the_end(*rest: Any, **options: Any) -> Iterator[bytes]:
        tail, ended = b"", False
        for chunk in read(*rest, **options):
            tail += chunk
            ended = ended or ending in tail
            tail = tail[-len(ending) :]
            yield chunk
        _check(ended)

    answer.iter_content = read_to_the_end  # type: ignore[method-assign]


def _ending(content_type: str) -> bytes | None:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or not boundary:
        return None
    return f"--{boundary}--".encode()


def _check(ended: bool) -> None:
    from requests.exceptions import ChunkedEncodingError  # noqa: PLC0415 - optional extra

    if not ended:
        raise ChunkedEncodingError("no boundary at the end")
