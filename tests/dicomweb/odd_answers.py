"""Answers of an archive, and the ways in which they may fail to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.dicomweb.odd_archive import Handler

JSON, DICOM = "application/dicom+json", "application/dicom"
BOUNDARY = "boundary-of-a-test"
PARTS = f'multipart/related; type="{DICOM}"; boundary="{BOUNDARY}"'


@dataclass(frozen=True)
class Answer:
    """What is sent, and how."""

    status: int = 200
    kind: str = JSON
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sending: Callable[[Handler, Answer], None] = lambda handler, answer: whole(handler, answer)


def in_parts(contents: Iterable[bytes]) -> Answer:
    """The answer of WADO-RS with DICOM objects."""
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    return Answer(kind=PARTS, body=b"".join(head + one for one in contents) + f"\r\n--{BOUNDARY}--\r\n".encode())


def whole(handler: Handler, answer: Answer) -> None:
    """As HTTP has it."""
    handler.begin(answer, Content_Length=str(len(answer.body)))
    handler.wfile.write(answer.body)


def half(handler: Handler, answer: Answer) -> None:
    """Half of what was announced."""
    handler.begin(answer, Content_Length=str(len(answer.body)))
    handler.wfile.write(answer.body[: len(answer.body) // 2])
    handler.close_connection = True


def half_in_chunks(handler: Handler, answer: Answer) -> None:
    """Half of it in chunks, without the one that ends them."""
    handler.begin(answer, Transfer_Encoding="chunked")
    _chunk(handler, answer.body[: len(answer.body) // 2])
    handler.close_connection = True


def in_chunks(handler: Handler, answer: Answer) -> None:
    """In chunks, ended in order."""
    handler.begin(answer, Transfer_Encoding="chunked")
    _chunk(handler, answer.body)
    handler.wfile.write(b"0\r\n\r\n")


def silent(handler: Handler, answer: Answer) -> None:
    """Nothing at all."""
    handler.wait_for_the_end()


def stalling(handler: Handler, answer: Answer) -> None:
    """Half of it, and then nothing."""
    handler.begin(answer, Content_Length=str(len(answer.body)))
    handler.wfile.write(answer.body[: len(answer.body) // 2])
    handler.wait_for_the_end()


def dripping(handler: Handler, answer: Answer) -> None:
    """All of it, in many small pieces with a pause after each."""
    handler.begin(answer, Content_Length=str(len(answer.body)))
    step = -(-len(answer.body) // 40)
    for start in range(0, len(answer.body), step):
        handler.wfile.write(answer.body[start : start + step])
        handler.wfile.flush()
        handler.server.archive.ending.wait(0.02)


def vanishing(handler: Handler, answer: Answer) -> None:
    """No answer; the connection is closed."""
    handler.close_connection = True


def _chunk(handler: Handler, body: bytes) -> None:
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
