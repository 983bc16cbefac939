"""Who may ask: looked at before a request reaches any route, the stock ones and the static files too."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from monai_semgan.utils.hosts import is_loopback

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))

PAGES = ("/", "/docs", "/ohif/", "/static/")
"""What a link on a page of somebody else may lead to: pages for people, which start no work."""

TokenCheck = Callable[[str], Awaitable["Denial | Person"]]


@dataclass(frozen=True)
class Denial:
    """Why a request goes no further."""

    status: int
    detail: str


@dataclass(frozen=True)
class Person:
    """Who has logged in.

    Attributes:
        name: of the log-in.
        admin: whether what belongs to others may be removed too.
    """

    name: str
    admin: bool


class Guard:
    """Checks of every request, as ASGI middleware.

    * `Host`: a server on loopback answers to loopback's names only, so that a web page whose name is made to point
      at this computer (DNS rebinding) reaches nothing.
    * `Origin`: pages of other servers are refused, also for requests that browsers send without asking first.
    * where there is neither key nor log-in: what a browser fetches for a page of another server without an `Origin`,
      such as an image or a link, by `Sec-Fetch-Site` or else `Referer`; clients that are no browsers send neither.
    * the key, in `X-API-Key` or as `Authorization: Bearer`, or a token of MONAI Label's own log-in.

    Routes find who has logged in as `request.state.user` and `request.state.admin`.

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
        denial = self._foreign(headers, scope) or self._fetched_for_others(headers, scope)
        found = denial or await self._right(headers, scope["path"])
        if not isinstance(found, Denial):
            if found is not None:
                scope.setdefault("state", {}).update(user=found.name, admin=found.admin)
            await self.app(scope, receive, send)
            return
        denial = found
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

    def _fetched_for_others(self, headers: Headers, scope: Scope) -> Denial | None:
        if self.key is not None or self.check_token is not None or headers.get("origin") is not None:
            return None  # no page has the key or a token; an `Origin` is looked at elsewhere
        referer = _address(headers.get("referer"))
        if referer is not None and f"{referer.scheme}://{referer.netloc}" in self.origins:
            return None
        site = headers.get("sec-fetch-site")
        if site is None:
            foreign = referer is not None and referer.netloc != headers.get("host", "")
        else:
            foreign = site not in ("same-origin", "none")
        visit = scope["method"] == "GET" and headers.get("sec-fetch-mode", "navigate") == "navigate"
        if foreign and not (visit and _is_page(scope["path"])):
            return Denial(403, "pages of other servers may not fetch this; see --allow-origin")
        return None

    async def _right(self, headers: Headers, path: str) -> Denial | Person | None:
        if self.key is not None:
            sent = (headers.get("x-api-key", ""), _bearer(headers))
            if not any(secrets.compare_digest(one.encode(), self.key) for one in sent):
                return Denial(401, "send the server's key as X-API-Key or as Authorization: Bearer")
        if self.check_token is not None and path not in self.open_paths:
            return await self.check_token(_bearer(headers))
        return None


def _is_page(path: str) -> bool:
    return any(path == page or (page != "/" and path.startswith(page)) for page in PAGES)


def _address(url: str | None) -> SplitResult | None:
    """Return the parts of a `Referer`; one that is none counts as another server's."""
    try:
        return urlsplit(url) if url is not None else None
    except ValueError:
        return SplitResult("", "", "", "", "")


def _name(host: str) -> str:
    """Return the name in a `Host` header, without port; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _bearer(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
