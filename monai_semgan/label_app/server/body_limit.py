"""How large a request may be."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Ends requests whose body is larger than allowed with 413, as ASGI middleware.

    Args:
        app: what is behind.
        limit_bytes: the largest body.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int) -> None:
        self.app, self.limit = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while its body is small enough."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self.limit:
            await self._refuse(scope, receive, send)
            return
        await _Counted(self, scope, receive, send).run()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        text = f"the request is larger than the limit of {self.limit / 2**20:.0f} MB; see --upload-limit-mb"
        await JSONResponse({"detail": text}, 413, {"Connection": "close"})(scope, receive, send)


class _TooLarge(Exception):
    pass


class _Counted:
    """One request whose length nobody told."""

    def __init__(self, rule: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        self.rule, self.scope, self.receive, self.send = rule, scope, receive, send
        self.bytes, self.started = 0, False

    async def run(self) -> None:
        with contextlib.suppress(_TooLarge):  # or a library answers it, which `_send` holds back
            await self.rule.app(self.scope, self._receive, self._send)
        if self.bytes > self.rule.limit and not self.started:
            await self.rule._refuse(self.scope, self.receive, self.send)

    async def _receive(self) -> Message:
        message = await self.receive()
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.rule.limit:
            raise _TooLarge
        return message

    async def _send(self, message: Message) -> None:
        if self.bytes > self.rule.limit and not self.started:
            return
        self.started = True
        await self.send(message)
