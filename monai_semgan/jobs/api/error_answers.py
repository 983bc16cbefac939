"""Every answer that is not a success has the body `{"detail": "one sentence"}`, without traceback or path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import Refusal, in_words
from monai_semgan.jobs.storage.job_log import log_without_values

logger = logging.getLogger(__name__)

SHOWN_PROBLEMS = 3
LONGEST_DETAIL = 500


def problem_handlers(app: FastAPI) -> None:
    """Make all routes of an app answer so."""
    for kind in (Refusal, SemganError, RequestValidationError, Exception):
        app.add_exception_handler(kind, _handle)


class ProblemRoute(APIRoute):
    """A route that answers so by itself, whatever app it is in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its exceptions turned into answers."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except (Refusal, SemganError, RequestValidationError) as error:
                return as_answer(error)
            except HTTPException as error:
                if error.status_code != 400:  # FastAPI's answer to a body that is no text
                    raise
                return _answer(422, "the body is no JSON")
            except ClientDisconnect:
                return _answer(400, "the connection ended before everything was sent")  # nobody reads it

        return answer


def as_answer(error: Exception) -> JSONResponse:
    """The answer to a request that failed."""
    if isinstance(error, Refusal):
        return _answer(error.status, error.detail)
    if isinstance(error, SemganError):
        return _answer(422, in_words(error))
    if isinstance(error, RequestValidationError):
        return _answer(422, validation_detail(error))
    log_without_values(logger, error)
    return _answer(500, "an unexpected problem of the server; its log has more")


def validation_detail(error: RequestValidationError) -> str:
    """What is wrong with a request, in one sentence."""
    found = error.errors()
    said = [_one(problem) for problem in found[:SHOWN_PROBLEMS]]
    if len(found) > SHOWN_PROBLEMS:
        said.append(f"and {len(found) - SHOWN_PROBLEMS} more")
    return "; ".join(said)


def _one(problem: Any) -> str:
    where = ".".join(str(part) for part in problem.get("loc", ()) if part not in ("body", "query", "path"))
    if problem.get("type") == "string_pattern_mismatch":  # the pattern means nothing to people
        what = "is not valid; take it from the server's lists"
    else:
        what = str(problem.get("msg", "is not valid")).removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _answer(status: int, detail: str) -> JSONResponse:
    shown = detail.encode("utf-8", "replace").decode()[:LONGEST_DETAIL]
    return JSONResponse({"detail": shown}, status)


async def _handle(request: Request, error: Exception) -> Response:
    return as_answer(error)
