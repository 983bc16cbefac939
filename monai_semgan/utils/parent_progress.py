"""Progress of a child process: told to the parent in JSON lines, paused and ended by it.

    with ParentProgress() as progress:
        work(progress)

The child says `progress` (`step`, `steps`, `message`, `eta`: seconds or null) and, where a `SemganError` ends it,
`failed` (`message`). The parent says `pause`, `resume` and `cancel`; the end of the child's stdin ends the child.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.utils.processes import LineWriter, read_line
from monai_semgan.utils.progress import ETA

TELL_SECONDS = 0.25
"""Progress is told no more often."""

BLOCK = 1 << 12

ABANDONED = 3
"""Exit code of a child whose parent has gone: nothing has come of its work."""


class ParentProgress:
    """Tells the steps of a long computation to the process that has started this one.

    `update` returns when the work may go on: a pause is spent inside it. Clocks that count the work leave that time
    out, as `Stopwatch.paused` does.

    Args:
        say: writes to the parent; to this process's stdout when left out, where libraries print to stderr from then on.
        messages: of the parent; this process's stdin when left out.
        clock: source of the time, replaceable in tests.
    """

    def __init__(
        self,
        say: Callable[..., None] | None = None,
        messages: Iterable[dict[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say or _stdout_writer()
        self._messages: Iterable[dict[str, Any]] = messages if messages is not None else _parents_words()
        self._clock = clock
        self._told = float("-inf")
        self._message = ""
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._cancelled = False

    def __enter__(self) -> ParentProgress:
        threading.Thread(target=self._listen, daemon=True, name="parent").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SemganError):
            told = f"{error.problem}; {error.remedy}" if error.remedy else error.problem
            with contextlib.suppress(OSError):
                self._say("failed", message=told)

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        """Tell the parent, and wait while it wants a pause."""
        now = self._clock()
        if now - self._told >= TELL_SECONDS or done >= total or message != self._message:
            self._told, self._message = now, message
            self._say("progress", step=int(done), steps=int(total), message=message, eta=values.get(ETA))
        self._may_go_on.wait()

    def should_stop(self) -> bool:
        """Tell whether the parent has cancelled the work."""
        return self._cancelled

    def _listen(self) -> None:
        for message in self._messages:
            if message["say"] == "pause":
                self._may_go_on.clear()
            elif message["say"] == "resume":
                self._may_go_on.set()
            elif message["say"] == "cancel":
                self._cancelled = True
                self._may_go_on.set()


def _parents_words() -> Iterator[dict[str, Any]]:
    """Yield what the parent says; when the parent is gone, end this process.

    The bytes are read without Python's buffer: a thread that still holds it makes the interpreter abort at its end.
    """
    waiting = b""
    while block := os.read(0, BLOCK):
        *lines, waiting = (waiting + block).split(b"\n")
        yield from filter(None, map(read_line, lines))
    os.write(2, b"ended, since the program that has started this one has gone or gives it no input\n")
    os._exit(ABANDONED)


def _stdout_writer() -> LineWriter:
    """Return a writer to this process's stdout; whatever else prints goes to stderr from now on."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return LineWriter(stream)
