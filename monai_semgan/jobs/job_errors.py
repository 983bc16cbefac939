"""Why a request is not fulfilled; `problems.py` turns each into an answer with its status."""

from __future__ import annotations

from monai_semgan.errors import SemganError


class Refusal(Exception):
    """A request that is not fulfilled.

    Args:
        detail: what is wrong and what helps, in one sentence for people; names no path of the server.
    """

    status = 422

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class Unknown(Refusal):
    """There is no such job, upload, image or part."""

    status = 404


class Conflict(Refusal):
    """Not in this state."""

    status = 409


class TooLarge(Refusal):
    """More bytes than the server takes."""

    status = 413


class WrongMedia(Refusal):
    """Not a kind of content that the server takes."""

    status = 415


class QueueFull(Refusal):
    """Too many jobs are waiting."""

    status = 429


class NotReady(Refusal):
    """The server is stopping, or another one holds the studies."""

    status = 503


class NoRoom(Refusal):
    """The disk is full, or what jobs may take of it."""

    status = 507


def in_words(error: SemganError) -> str:
    """An error of the package without the path, which is nobody's business outside the server."""
    return f"{error.problem}; {error.remedy}" if error.remedy else error.problem
