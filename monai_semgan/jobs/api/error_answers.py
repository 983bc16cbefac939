"""Every answer that is not a success has the body `{"detail": "one sentence"}`, without traceback or path."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import JobError, in_words

SHOWN_ERRORS = 3
LONGEST_DETAIL = 500


class ErrorRoute(APIRoute):
    """Route that answers errors in words by itself, whatever app it is in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with its exceptions turned into answers."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except (JobError, SemganError, RequestValidationError) as error:
                return as_answer(error)
            except HTTPException as error:
                if error.status_code != 400:  # FastAPI's answer to a body that is no text
                    raise
                return _answer(422, "the body is no JSON")
            except ClientDisconnect:
                return _answer(400, "the connection ended before everything was sent")  # nobody reads it

        return answer


def as_answer(error: JobError | SemganError | RequestValidationError) -> JSONResponse:
    """Answer a request that failed."""
    if isinstance(error, JobError):
        return _answer(error.status, error.detail)
    if isinstance(error, SemganError):
        return _answer(422, in_words(error))
    return _answer(422, validation_detail(error))


def validation_detail(error: RequestValidationError) -> str:
    """Say in one sentence what is wrong with a request."""
    found = error.errors()
    said = [_one(problem) for problem in found[:SHOWN_ERRORS]]
    if len(found) > SHOWN_ERRORS:
        said.append(f"and {len(found) - SHOWN_ERRORS} more")
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
