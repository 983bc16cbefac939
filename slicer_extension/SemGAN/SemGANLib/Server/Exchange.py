"""One request and its answer over a connection, step by step: each has its own patience, and each can be stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Callable, Union

from ..Protocols.RunnerProtocol import Transfer
from . import Errors

if TYPE_CHECKING:
    import http.client
    import socket

BLOCK = 2**15
"""Bytes that are sent or read at once: what a network must move within the patience, however slow it is."""

STEP_SECONDS = 60.0
"""Longest patience for a block; the beginning of the answer may take longer, while the server computes."""

SEND_BUFFER = 2**19
"""Largest buffer of the system: what waits there counts as sent, and the patience for the answer begins after it."""

Body = Union[bytes, memoryview]


class Exchange:
    """What goes out, and what comes back.

    Args:
        path: with the query, both quoted.
        transfer: counts the bytes of the body, or of the answer where there is no body, and may stop it.

    Attributes:
        patience: seconds, of the step that is under way; None before the connection stands.
    """

    def __init__(
        self,
        method: str,
        path: str,
        body: Body | None,
        headers: Mapping[str, str],
        transfer: Transfer | None = None,
    ) -> None:
        self._method = method
        self._path = path
        self._body = body
        self._headers = headers
        self._transfer = transfer
        self.patience: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was stopped from another thread."""
        return self._transfer is not None and self._transfer.stopped

    def over(
        self, connection: http.client.HTTPConnection, prefix: str, token: str, seconds: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send, wait for the answer and read it.

        Args:
            connection: which stands.
            prefix: path before that of the request.
            token: of a log-in; empty for none.
            seconds: patience for the beginning of the answer, and for every block if that is shorter.

        Raises:
            OSError: if the connection breaks.
            http.client.HTTPException: if it is no HTTP.
            Errors.Stopped: if it was stopped.
        """
        connected, short = connection.sock, min(seconds, STEP_SECONDS)
        self._prepare(connected)
        self._wait_for(connected, short)
        self._send(connection, prefix, token)
        self._wait_for(connected, seconds)
        answer = connection.getresponse()
        self._wait_for(connected, short)
        content = self._content(answer)
        if self.stopped:  # what was broken off may look like a short answer
            raise Errors.stopped()
        return answer, content

    def over_and_done(self) -> None:
        """Let go of the connection, whatever has come of it."""
        self.patience = None
        if self._transfer is not None:
            self._transfer.on_stop(None)

    def _prepare(self, connected: socket.socket) -> None:
        import socket

        if self._body is not None and len(self._body) > SEND_BUFFER:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if self._transfer is not None:
            self._transfer.on_stop(_breaking(connected))

    def _wait_for(self, connected: socket.socket, seconds: float) -> None:
        self.patience = seconds
        connected.settimeout(seconds)

    def _send(self, connection: http.client.HTTPConnection, prefix: str, token: str) -> None:
        headers = dict(self._headers)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._body is not None:
            headers["Content-Length"] = str(len(self._body))
        try:
            connection.request(self._method, prefix + self._path, self._blocks(), headers)
        except (BrokenPipeError, ConnectionResetError):
            if self._body is None:
                raise
            # a server may answer before it has read all: if it has not, reading the answer fails in the same way

    def _blocks(self) -> Iterator[memoryview] | None:
        return None if self._body is None else _counted(memoryview(self._body), self._transfer)

    def _content(self, answer: http.client.HTTPResponse) -> bytes:
        import http.client

        if self._transfer is None or self._body is not None:
            return answer.read()
        self._transfer.begin(answer.length)
        blocks: list[bytes] = []
        while block := answer.read(BLOCK):
            blocks.append(block)
            self._transfer.moved(len(block))
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return b"".join(blocks)


def _counted(body: memoryview, transfer: Transfer | None) -> Iterator[memoryview]:
    for start in range(0, len(body), BLOCK):
        block = body[start : start + BLOCK]
        yield block
        if transfer is not None:
            transfer.moved(len(block))
            if transfer.stopped:
                raise Errors.stopped()


def _breaking(connected: socket.socket) -> Callable[[], None]:
    """Make what ends a step that waits at a socket, from another thread.

    The plain `shutdown` also for TLS: that of `ssl` takes the encryption away before it stops the sending.
    """
    import socket

    return lambda: socket.socket.shutdown(connected, socket.SHUT_RDWR)
