"""One gate in front of all routes: queries and bodies that no route could handle are answered here, with the reason.

Files pass through as they come; everything else is small, is read whole, and has to be text.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import in_words
from monai_semgan.label_app.server.body_limit import LimitedBody, Refused
from monai_semgan.label_app.server.json_input import read_json
from monai_semgan.label_app.storable import MAX_SIZE

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILE_ROUTES = re.compile(
    r"PUT /(datastore/(image|label)?|session/)|POST /infer/[^/]+|POST /semgan/uploads|PATCH /semgan/uploads/[^/]+"
)
"""Methods and paths of requests that bring files. Bodies of all others are read into memory."""

SMALL_BYTES = 2 << 20
"""Largest body without files."""

STROKE_ROUTES = re.compile(r"POST /semgan/jobs/[^/]+/corrections")
STROKE_BYTES = 16 << 20
"""Largest body of a correction: a lasso across the slices is a run of voxels for every one of them."""

RECEIVED_AT_ONCE = 64
"""Requests whose files are on their way; further ones are refused until one is there or given up."""

MAX_ADDRESS_BYTES = 16 << 10
QUICK_BYTES = 16 << 10
"""JSON up to this size is looked at at once, larger one on a thread."""


class InputGate:
    """Checks addresses and bodies, as ASGI middleware.

    Args:
        app: what is behind.
        limit_bytes: the largest body with files.
        patience_seconds: a body of which nothing more comes for this time is given up.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, patience_seconds: float) -> None:
        self.app, self.limit_bytes, self.patience_seconds = app, limit_bytes, patience_seconds
        self._receiving: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        from starlette.datastructures import Headers

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, files = Headers(scope=scope), _brings_files(scope)
        strokes = STROKE_ROUTES.fullmatch(_method_and_path(scope)) is not None
        limit = self.limit_bytes if files else min(STROKE_BYTES if strokes else SMALL_BYTES, self.limit_bytes)
        place, text = id(scope), f"the request is larger than the limit of {limit / 2**20:.0f} MB"
        text += "; see --upload-limit-mb" if files else " for requests without files"
        completed = partial(self._receiving.discard, place)
        body = LimitedBody(receive, send, limit, text, self.patience_seconds, completed)
        try:
            _check_address(scope)
            if files:
                self._take(place)
            body.check_length(headers.get("content-length", ""))
            if files or not _has_body(headers):
                await self.app(scope, body.receive, body.send)
            else:
                whole = await body.read()
                await _check_body(whole, headers, STROKE_BYTES if strokes else MAX_SIZE)
                await self.app(scope, _again(whole, body.receive), body.send)
        except Refused as error:
            body.refusal = body.refusal or error
        except SemganError as error:
            body.refusal = Refused(422, in_words(error))
        finally:
            self._receiving.discard(place)
        await body.answer_refusal(scope)

    def _take(self, place: int) -> None:
        if len(self._receiving) >= RECEIVED_AT_ONCE:
            raise Refused(503, f"{RECEIVED_AT_ONCE} requests with files are on their way; try again later")
        self._receiving.add(place)


def _brings_files(scope: Scope) -> bool:
    return FILE_ROUTES.fullmatch(_method_and_path(scope)) is not None


def _method_and_path(scope: Scope) -> str:
    return f"{scope['method']} {scope['path']}"


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _check_address(scope: Scope) -> None:
    for raw, name in ((scope.get("query_string", b""), "query"), (scope.get("raw_path") or b"", "path")):
        if len(raw) > MAX_ADDRESS_BYTES:
            limit = MAX_ADDRESS_BYTES >> 10
            raise Refused(414, f"the {name} is longer than {limit} KB; long values belong into the body")
        try:
            unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(422, f"the {name} is no UTF-8; half a character (a lone surrogate) is none") from None


async def _check_body(body: bytes, headers: Headers, longest: int) -> None:
    """Check JSON of so many characters at most; what else comes is checked where it is parsed."""
    from starlette.concurrency import run_in_threadpool

    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if not body or not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        return
    if len(body) <= QUICK_BYTES:
        read_json(body, "the body", longest)
    else:
        await run_in_threadpool(read_json, body, "the body", longest)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body once more; what comes after it is told by the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give
