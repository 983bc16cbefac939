"""How many connections the server holds, and for how long ones of which nothing comes.

A connection is *idle* while no request on it waits for its answer: nothing was sent yet, a header is not complete, or
an answer is through. Only idle ones are closed to make room, those first that have never brought a request.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from monai_semgan.label_app.server.body_limit import PATIENCE_SECONDS

if TYPE_CHECKING:
    import asyncio

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits to connections.

    Attributes:
        total: all of them.
        per_address: from one address; a proxy and all programs on this computer have one.
        idle: idle ones.
        header_seconds: an idle one is closed after this time; one that is kept for further requests earlier.
        patience_seconds: one whose peer takes nothing of an answer for this time is closed.
    """

    total: int = 512
    per_address: int = 384
    idle: int = 128
    header_seconds: float = 10.0
    patience_seconds: float = PATIENCE_SECONDS


class Connections:
    """The connections of a server; used by its event loop alone."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._held: dict[LimitedConnection, None] = {}
        self._looking: asyncio.TimerHandle | None = None

    def add(self, new: LimitedConnection) -> bool:
        """Take in a connection; returns whether there is room for it."""
        self._held[new] = None
        others = [one for one in self._held if one is not new and not one.transport.is_closing()]
        neighbours = [one for one in others if one.address == new.address]
        idle = [one for one in others if one.idle]
        fits = self._fits(others, self.limits.total) and self._fits(neighbours, self.limits.per_address)
        if fits:
            self._fits(idle, self.limits.idle)
        self._look_later(new.loop)
        return fits

    def remove(self, connection: LimitedConnection) -> None:
        """Forget a connection that has ended."""
        self._held.pop(connection, None)

    @staticmethod
    def _fits(others: list[LimitedConnection], limit: int) -> bool:
        """Make room for one more; returns whether that was possible."""
        if len(others) < limit:
            return True
        idle = [one for one in others if one.idle and not one.transport.is_closing()]
        if idle:
            min(idle, key=lambda one: (one.used, one.idle_since)).transport.abort()
        return bool(idle)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._looking is None:
            self._looking = loop.call_later(LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = None
        for one in list(self._held):
            if one.overdue(loop.time(), self.limits):
                one.transport.abort()
        if self._held:
            self._look_later(loop)


class LimitedConnection(H11Protocol):
    """A connection of uvicorn's that `Connections` knows."""

    known: Connections
    transport: Any

    def connection_made(self, transport: Any) -> None:
        """Begin, or say that there are too many."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.used = False
        self.idle_since = self._moved = self.loop.time()
        self._unsent = 0
        if not self.known.add(self):
            transport.write(_answer(503, "the server has too many connections; try again later"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.known.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.transport.is_closing():
            return
        self._moved = self.loop.time()
        super().data_received(data)

    def resume_writing(self) -> None:
        """Note that the peer has taken something."""
        self._moved = self.loop.time()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Begin to be idle."""
        self.used, self.idle_since = True, self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the words of the other answers."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # otherwise another answer is on its way
            self.transport.write(_answer(400, "this is no HTTP request, or its header is too long"))
        self.transport.close()

    @property
    def idle(self) -> bool:
        """Whether no request waits for its answer."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def overdue(self, now: float, limits: ConnectionLimits) -> bool:
        """Tell whether the peer has let the server wait for too long."""
        unsent = self.transport.get_write_buffer_size()
        unsent += _unacknowledged(self.transport) if unsent else 0
        if unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        if unsent or self.conn.their_state is h11.SEND_BODY:  # the latter: a body that is not read any more
            return (unsent > 0 or self.idle) and now - self._moved > limits.patience_seconds
        return self.idle and now - self.idle_since > limits.header_seconds


def limited(limits: ConnectionLimits) -> type[LimitedConnection]:
    """Return the class of a server's connections, as uvicorn's `Config(http=...)`."""
    return type("LimitedConnectionOfServer", (LimitedConnection,), {"known": Connections(limits)})


def _unacknowledged(transport: Any) -> int:
    """Count the bytes that the system has taken and the peer has not, megabytes at times; 0 where it does not tell."""
    try:
        import fcntl
        import termios

        told = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(told, sys.byteorder)
    except (ImportError, AttributeError, OSError):
        return 0


def _answer(status: int, detail: str) -> bytes:
    body = json.dumps({"detail": detail}).encode()
    head = f"HTTP/1.1 {status} {'Bad Request' if status == 400 else 'Service Unavailable'}\r\n"
    fields = f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + fields).encode() + body
