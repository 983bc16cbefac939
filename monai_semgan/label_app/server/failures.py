"""What clients read when something goes wrong, and what the log keeps of a request: never whose scan it was."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import JobError, in_words
from monai_semgan.label_app.archive_store.archive_failures import status_of
from monai_semgan.utils.files import DISK_FULL

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("monai_semgan.server")
access = logging.getLogger("monai_semgan.server.access")

INTERNAL = "internal error of the server; its log tells the place, please report it"
LONGEST_SAID = 500
FULL = "the disk of the server is full; nothing was changed"


def answer_errors(app: FastAPI) -> None:
    """Give every expected exception an answer with a readable `detail`."""
    from fastapi import Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException

    from monai_semgan.jobs.api.error_answers import validation_detail

    def answer(status: int, detail: str) -> JSONResponse:
        return JSONResponse({"detail": detail}, status)

    async def semgan(_: Request, error: Exception) -> JSONResponse:
        return answer(*_of_semgan_error(error))

    async def missing(_: Request, error: Exception) -> JSONResponse:
        return answer(404, "no such image or label")

    async def stock(_: Request, error: Exception) -> JSONResponse:
        return answer(422, str(getattr(error, "msg", error)))

    async def disk(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return answer(507, FULL)
        _log_place(error)
        if isinstance(error, FileNotFoundError):
            return answer(404, "a file that this needs has gone; ask again")
        if isinstance(error, PermissionError):
            return answer(403, "the server has no permission to read or write a file that this needs")
        return answer(500, INTERNAL)

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer(500, INTERNAL)  # `RequestLog` notes the place: the exception goes on to it

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        return answer(422, validation_detail(error) if isinstance(error, RequestValidationError) else "not valid")

    async def refused(_: Request, error: Exception) -> JSONResponse:
        return answer(*((error.status, error.detail) if isinstance(error, JobError) else (500, INTERNAL)))

    app.add_exception_handler(JobError, refused)
    app.add_exception_handler(SemganError, semgan)
    app.add_exception_handler(ImageNotFoundException, missing)
    app.add_exception_handler(LabelNotFoundException, missing)
    app.add_exception_handler(MONAILabelException, stock)
    app.add_exception_handler(OSError, disk)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def _of_semgan_error(error: Exception) -> tuple[int, str]:
    """Return status and words; the path in the error is of the server and stays here."""
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_FULL:
        return 507, FULL
    if not isinstance(error, SemganError):
        return 500, INTERNAL
    if isinstance(error, ArchiveError):
        return status_of(error), in_words(error)
    return 422, in_words(error)


def _log_place(error: BaseException) -> None:
    """Log kind and places of an error; its message could name a file or a patient."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))
    log.error("%s at %s", type(error).__name__, places)


class RequestLog:
    """Logs method, route, status and time of every request and answers for what fell through, as ASGI middleware.

    The route is logged as its pattern, `/session/{session_id}`: paths and queries hold names of files.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.responses import JSONResponse

        started, status = time.perf_counter(), 0

        async def remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, remember)
        except asyncio.CancelledError:
            log.warning("a request was cut off: the server is stopping")
            if not status:
                await JSONResponse({"detail": "the server is stopping"}, 503)(scope, receive, remember)
        except Exception as error:
            _log_place(error)
            if not status:
                await JSONResponse({"detail": INTERNAL}, 500)(scope, receive, remember)
        spent = 1000 * (time.perf_counter() - started)
        access.info("%s %s %d %.0f ms", scope["method"], _pattern(scope), status, spent)


class WordsForAll:
    """Gives answers of libraries that are no success the form of all others, `{"detail": "..."}`, as middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.datastructures import MutableHeaders
        from starlette.responses import JSONResponse

        status, said, kept = 0, bytearray(), {}

        async def reworded(message: Message) -> None:
            nonlocal status, kept
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = MutableHeaders(raw=list(message["headers"]))
                if not headers.get("content-type", "").startswith("application/json"):
                    status = message["status"]
                    kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
                    kept |= {name: headers[name] for name in ("content-range",) if name in headers}
                    return
            if not status:
                await send(message)
                return
            said.extend(message.get("body", b"")[:LONGEST_SAID])
            if not message.get("more_body", False):
                detail = said.decode("utf-8", "replace") or HTTPStatus(status).description or HTTPStatus(status).phrase
                await JSONResponse({"detail": detail}, status, kept)(scope, receive, send)

        await self.app(scope, receive, reworded)


def _pattern(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "(no route)"))
