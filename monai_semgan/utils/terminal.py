"""Standard output and error that never end the work: for a name they cannot show, or when nobody reads them any more.

A segmentation takes minutes, a cohort days. Windows writes into files and pipes in a code page of 256 characters, other
systems may be set up without Unicode, file names need not be text at all, and `| head` or a closed terminal leaves a
pipe without a reader. None of that is a reason to lose results.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

NO_READER = (errno.EPIPE, errno.EIO, errno.EBADF, *((errno.EINVAL,) if os.name == "nt" else ()))
"""Error numbers of a stream that nobody reads: a closed pipe or terminal, or one closed from the start."""


class UnfailingStream:
    """A text stream that escapes what it cannot show, and drops what it cannot write.

    Args:
        stream: the stream; its other attributes are this one's.

    Attributes:
        lost: why text was dropped first; None if none was, or nobody wanted to read it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:  # a stream of a host program, which cannot be told to escape
                encoding = self._stream.encoding or "ascii"
                return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError, RuntimeError) as error:  # ValueError: closed; RuntimeError: Ctrl-C while writing
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, if somebody takes it."""
        try:
            self._stream.flush()
        except (OSError, ValueError, RuntimeError) as error:
            self._drop(error)

    def leave(self) -> None:
        """Let nothing be left that fails when the interpreter ends."""
        self.flush()
        if self.lost is not None:
            self._lead_nowhere()

    def _drop(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno not in NO_READER:
            self.lost = self.lost or error
        elif isinstance(error, OSError):
            self._lead_nowhere()

    def _lead_nowhere(self) -> None:
        """Send what is still buffered, and what libraries write past this object, into the null device."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def protect_streams() -> tuple[UnfailingStream, UnfailingStream]:
    """Make `sys.stdout` and `sys.stderr` unfailing; called where a program starts, never at import."""
    _open_missing()
    return _protected("stdout"), _protected("stderr")


@contextlib.contextmanager
def protected_streams() -> Iterator[UnfailingStream]:
    """Make `sys.stdout`, which is yielded, and `sys.stderr` unfailing until the block ends."""
    former = sys.stdout, sys.stderr
    streams = protect_streams()
    try:
        yield streams[0]
    finally:
        for stream in streams:
            stream.leave()
        if former[0] is not None:
            sys.stdout = former[0]
        if former[1] is not None:
            sys.stderr = former[1]


def _open_missing() -> None:
    """Open the null device where stdin, stdout or stderr is closed.

    Else the next file that is opened takes its number, and what a library prints ends in a result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)


def _protected(name: str) -> UnfailingStream:
    stream: Any = getattr(sys, name)
    if isinstance(stream, UnfailingStream):
        return stream
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stream.reconfigure(errors="backslashreplace")
    protected = UnfailingStream(stream)
    setattr(sys, name, protected)
    return protected
