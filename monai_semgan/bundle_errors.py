"""Errors of `python -m monai.bundle` in one readable line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from monai_semgan.errors import SemganError

PROGRAM = "monai/bundle/__main__.py"


def one_line_errors(arguments: Sequence[str] | None = None) -> None:
    """From now on, tell an error that ends `monai.bundle` in one line on stderr.

    MONAI shows a traceback of its own parser around everything that goes wrong in a configuration. What a user can mend
    is told without one; of any other error, the last line tells what went wrong first. Other programs that use a
    bundle, such as servers, are left as they are.

    Args:
        arguments: of the program; those of this process when left out.
    """
    if is_monai_bundle(sys.argv if arguments is None else arguments):
        sys.excepthook = _tell


def is_monai_bundle(arguments: Sequence[str]) -> bool:
    """Whether the program with these arguments is `python -m monai.bundle`."""
    return bool(arguments) and str(arguments[0]).replace("\\", "/").endswith(PROGRAM)


def first_cause(error: BaseException) -> BaseException:
    """What went wrong first: our own error where there is one, else the innermost of the chain."""
    current, causes = error, [error]
    while (before := current.__cause__ or (None if current.__suppress_context__ else current.__context__)) is not None:
        if before in causes:
            break
        current = before
        causes.append(current)
    return next((cause for cause in causes if isinstance(cause, SemganError)), causes[-1])


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    cause = first_cause(error)
    if isinstance(cause, SemganError):
        line = str(cause)
    elif issubclass(kind, KeyboardInterrupt):
        line = "interrupted"
    else:
        traceback.print_exception(kind, error, trace)
        line = " ".join(f"{type(cause).__name__}: {cause}".split())
    sys.stderr.write(f"monai.bundle: error: {line}\n")
