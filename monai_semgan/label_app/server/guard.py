"""Who may ask: looked at before a request reaches any route, the stock ones and the static files too."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monai_semgan.label_app.server.options import is_loopback

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))

TokenCheck = Callable[[str], Awaitable["Denial | None"]]


@dataclass(frozen=True)
class Denial:
    """Why a request goes no further."""

    status: int
    detail: str


class Guard:
    """Checks of every request, as ASGI middleware.

    * `Host`: a server on loopback answers to loopback's names only, so that a web page whose name is made to point
      at this computer (DNS rebinding) reaches nothing.
    * `Origin`: pages of other servers are refused, also for requests that browsers send without asking first.
    * the key, in `X-API-Key` or as `Authorization: Bearer`, or a token of MONAI Label's own log-in.

    Args:
        app: what is guarded.
        host: the address that the server listens on.
        key: what clients must send, if anything.
        origins: web pages that may ask.
        check_token: for MONAI Label's log-in: what is wrong with a token, if anything.
        open_paths: what answers without a token: the log-in itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        key: str | None = None,
        origins: Collection[str] = (),
        check_token: TokenCheck | None = None,
        open_paths: Collection[str] = (),
    ) -> None:
        self.app = app
        self.names = LOOPBACK_NAMES | {host.lower()} if is_loopback(host) else None
        self.key = key.encode() if key is not None else None
        self.origins = frozenset(origins)
        self.check_token = check_token
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it."""
        from starlette.datastructures import Headers
        from starlette.responses import JSONResponse

        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        denial = self._foreign(headers, scope) or await self._without_right(headers, scope["path"])
        if denial is None:
            await self.app(scope, receive, send)
            return
        extra = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else None
        await JSONResponse({"detail": denial.detail}, denial.status, extra)(scope, receive, send)

    def _foreign(self, headers: Headers, scope: Scope) -> Denial | None:
        host = headers.get("host", "")
        if self.names is not None and _name(host) not in self.names:
            return Denial(400, "this server is reached as 127.0.0.1 or localhost only")
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins and origin != f"{scope['scheme']}://{host}":
            return Denial(403, "web pages of other servers may not ask; see --allow-origin")
        return None

    async def _without_right(self, headers: Headers, path: str) -> Denial | None:
        if self.key is not None:
            sent = (headers.get("x-api-key", ""), _bearer(headers))
            if not any(secrets.compare_digest(one.encode(), self.key) for one in sent):
                return Denial(401, "send the server's key as X-API-Key or as Authorization: Bearer")
        if self.check_token is not None and path not in self.open_paths:
            return await self.check_token(_bearer(headers))
        return None


def _name(host: str) -> str:
    """Return the name in a `Host` header, without port; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _bearer(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
