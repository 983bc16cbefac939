"""Why a request is not fulfilled; `api/error_answers.py` turns each into an answer with its status."""

from __future__ import annotations

from monai_semgan.errors import SemganError, WriteFailure

WRITE_REMEDY = "remove jobs or uploads, or ask whoever runs the server"
"""Where the server cannot write: its users choose no outputs."""


class JobError(Exception):
    """A request that is not fulfilled.

    Args:
        detail: what is wrong and what helps, in one sentence for people; names no path of the server.
    """

    status = 422

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class Forbidden(JobError):
    """It belongs to somebody else."""

    status = 403


class Unknown(JobError):
    """There is no such job, upload, image or part."""

    status = 404


class Conflict(JobError):
    """Not in this state."""

    status = 409


class Damaged(Conflict):
    """What was kept on disk cannot be read any more."""


class TooLarge(JobError):
    """More bytes than the server takes."""

    status = 413


class WrongMedia(JobError):
    """Not a kind of content that the server takes."""

    status = 415


class QueueFull(JobError):
    """Too many jobs are waiting."""

    status = 429


class NotReady(JobError):
    """The server is stopping, or another one holds the studies."""

    status = 503


class NoSpace(JobError):
    """The disk, or what jobs may take of it, is full."""

    status = 507


def in_words(error: SemganError) -> str:
    """Return the words of an error without its path, which is nobody's business outside the server."""
    remedy = WRITE_REMEDY if isinstance(error, WriteFailure) else error.remedy
    return f"{error.problem}; {remedy}" if remedy else error.problem
