"""How large a request may be, and how long its sender and the reader of its answer may make the server wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

PATIENCE_SECONDS = 60.0
"""So long nothing may come of a body, and nothing be taken of an answer."""

STEP_BYTES = 1024
"""Fewer bytes of a body than these are no progress, unless they are its last."""

BLOCK_BYTES = 256 << 10
"""Answers are handed on in blocks of this size, so that a slow reader is seen to take them."""


DRAINED_BYTES = 64 << 20
DRAINING_SECONDS = 20.0
"""So much of a body that is refused is still read, and for so long: most clients look at the answer only when they have
sent everything, and see a broken connection otherwise."""


STALLED = 408


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: of the answer.
        detail: what is wrong and what helps.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class LimitedBody:
    """Both directions of one request, with limits.

    Args:
        receive: gives the parts of the body.
        send: takes the parts of the answer.
        limit_bytes: of the body.
        too_large: what is said of a larger one.
        patience_seconds: without a step of the body.
        completed: called when the body is there.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        limit_bytes: int,
        too_large: str,
        patience_seconds: float,
        completed: Callable[[], None],
    ) -> None:
        self._receive, self._send = receive, send
        self.limit, self.patience, self._completed = limit_bytes, patience_seconds, completed
        self.bytes, self._complete, self._started = 0, False, False
        self._step_bytes, self._deadline = 0, 0.0
        self._too_large = Refused(413, too_large)
        self.refusal: Refused | None = None

    def check_length(self, told: str) -> None:
        """Refuse a body of which the header tells that it is too large.

        Raises:
            Refused: it is.
        """
        if told.isdigit() and int(told[:20]) > self.limit:
            raise self._too_large

    async def receive(self) -> Message:
        """Return the next part.

        Raises:
            Refused: too much has come, or nothing for too long. Libraries may answer that in their words; `send`
                holds such an answer back.
        """
        if self._complete:
            return await self._receive()
        message = await self._next()
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.limit:
            self.refusal = self._too_large
            raise self.refusal
        if self._complete:
            self._completed()
        return message

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            Refused: see `receive`; or the connection has ended before.
        """
        parts = bytearray()
        while not self._complete:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Refused(400, "the connection ended before everything was sent")  # nobody reads it
            parts += message.get("body", b"")
        return bytes(parts)

    async def send(self, message: Message) -> None:
        """Hand on a part of the answer."""
        if self.refusal is not None and not self._started:
            return
        self._started = True
        body = message.get("body", b"")
        if len(body) <= BLOCK_BYTES:
            await self._send(message)
            return
        more = message.get("more_body", False)
        for start in range(0, len(body), BLOCK_BYTES):
            last = start + BLOCK_BYTES >= len(body)
            block = {**message, "body": body[start : start + BLOCK_BYTES], "more_body": more or not last}
            await self._send(block)

    async def answer_refusal(self, scope: Scope) -> None:
        """Say why the request goes no further, if it does not and nothing was said yet."""
        from starlette.responses import JSONResponse

        if self.refusal is None or self._started:
            return
        if self.refusal.status != STALLED:
            await self._drain()
        answer = JSONResponse({"detail": self.refusal.detail}, self.refusal.status, {"Connection": "close"})
        await answer(scope, self._receive, self._send)

    async def _drain(self) -> None:
        import anyio

        drained = 0
        with anyio.move_on_after(min(DRAINING_SECONDS, self.patience)):
            while not self._complete and drained < DRAINED_BYTES:
                message = await self._receive()
                drained += len(message.get("body", b""))
                self._complete = message["type"] != "http.request" or not message.get("more_body", False)

    async def _next(self) -> Message:
        """Wait for a part, as long as there is progress."""
        import anyio

        now = anyio.current_time()
        if self.bytes >= self._step_bytes:
            self._step_bytes, self._deadline = self.bytes + STEP_BYTES, now + self.patience
        try:
            with anyio.fail_after(max(self._deadline - now, 0)):
                return await self._receive()
        except TimeoutError:
            self.refusal = Refused(STALLED, f"nothing more of the request came for {self.patience:g} seconds")
            raise self.refusal from None
