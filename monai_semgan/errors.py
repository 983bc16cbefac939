"""Errors that the command line and the servers turn into one line for the user."""

from __future__ import annotations

from pathlib import Path


class SemganError(Exception):
    """Report a problem with the input or the machine that the user can correct.

    The command line prints it as one line without a traceback.

    Args:
        problem: what is wrong, without a full stop.
        remedy: what the user can do about it.
        path: the file or folder that is at fault.
    """

    def __init__(self, problem: str, *, remedy: str = "", path: str | Path | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        self.path = Path(path) if path is not None else None
        super().__init__(str(self))

    def __str__(self) -> str:
        prefix = f"{self.path}: " if self.path is not None else ""
        suffix = f"; {self.remedy}" if self.remedy else ""
        return " ".join(f"{prefix}{self.problem}{suffix}".split())


class WriteFailure(SemganError):
    """Report that the machine would not take a file: no room, no permission, a medium that failed."""


class Cancelled(Exception):
    """The user has asked running work to end.

    Raised by an `on_step` callback to ask for it, and by work that has nothing to give when it is ended early; a
    message tells what is left of it.
    """


def read_error(error: OSError, path: str | Path) -> SemganError:
    """Turn a failure to read into words that a user can act upon."""
    reason = (error.strerror or str(error)).lower()
    return SemganError(f"cannot be read: {reason}", remedy="check the permissions, or copy it again", path=path)
