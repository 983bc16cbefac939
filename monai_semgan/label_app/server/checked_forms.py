"""Forms of routes: few fields, and only text that everybody can read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import HTTPException
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartParser

from monai_semgan.label_app.server.open_files import open_files
from monai_semgan.utils.files import is_text

MAX_FIELDS = 16
"""Fields without a file, of at most 1 MB each; no route knows so many."""

MAX_FILES = 1000
"""Files in one request, those of a DICOM series; larger ones are sent as an archive."""

SPOOLED_BYTES = 64 << 10
"""Of a file in a form are kept in memory, the rest on disk."""

ENOUGH_OPEN_FILES = 4096


def keep_little_in_memory() -> None:
    """Let files of forms lie on disk, except small ones, unless few files may be open at once."""
    if open_files() >= ENOUGH_OPEN_FILES:
        MultiPartParser.spool_max_size = SPOOLED_BYTES


class CheckedRoute(APIRoute):
    """Route whose form is checked when it is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which is given the request with checks."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await handler(_CheckedRequest(request.scope, request.receive))

        return answer


class _CheckedRequest(Request):
    async def form(self, **limits: Any) -> FormData:  # type: ignore[override]
        form = await super().form(**{**limits, "max_fields": MAX_FIELDS, "max_files": MAX_FILES})
        for name, value in form.multi_items():
            text = (value.filename or "") if isinstance(value, UploadFile) else value
            if not (is_text(name) and is_text(text)):
                await form.close()
                raise HTTPException(422, "a field or the name of a file is no UTF-8 (half a character)")
        return form
