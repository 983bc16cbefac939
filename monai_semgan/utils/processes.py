"""Child processes: started with their threads set, and spoken to in JSON lines.

A child leaves with its parent: the end of its stdin is the end of the parent, however that came about.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

from monai_semgan.utils.json_text import json_text
from monai_semgan.utils.terminal import protect_streams
from monai_semgan.utils.threads import child_variables, own_variables

logger = logging.getLogger(__name__)


class LineWriter:
    """Writes messages, one JSON object a line, from any thread.

    Args:
        stream: a pipe.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self._lock = threading.Lock()

    def __call__(self, say: str, **values: Any) -> None:
        """Write one message.

        Raises:
            OSError: if nobody reads any more.
        """
        line = json_text({"say": say, **values}).encode() + b"\n"
        with self._lock:
            self.stream.write(line)
            self.stream.flush()


def read_line(line: bytes) -> dict[str, Any] | None:
    """Return the message of a line; None if it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("say"), str) else None


def child_environment(threads: int | None = None) -> dict[str, str]:
    """Return the environment in which another interpreter finds this package, wherever it was imported from.

    Args:
        threads: of the child's arithmetic; when left out, the child chooses.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = own_variables()
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths), **child_variables(threads)}


def module_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command that runs a module of this package in another interpreter."""
    return [python, "-m", module, *arguments]


def how_it_ended(code: int) -> str:
    """Say in words what an exit code means."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    return f"was killed (signal {number})" if number else f"ended (code {code})"


class Started(Protocol):
    """What of `subprocess.Popen` a child needs."""

    stdin: Any
    stdout: Any
    pid: int

    def kill(self) -> None:
        """End it at once."""

    def terminate(self) -> None:
        """Ask it to end."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code."""


class ChildProcess:
    """A running child. Its messages, and its end, are told from a thread of its own.

    Args:
        command: how to start it.
        on_message: told every message.
        on_exit: told the exit code, once, after the last message.
        threads: see `child_environment`.
        fork: starts it in place of the command, given the threads, see `monai_semgan.utils.forking`.
        errors: open file that its stderr goes to; this process's stderr when left out.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_message: Callable[[ChildProcess, dict[str, Any]], None],
        on_exit: Callable[[ChildProcess, int], None],
        threads: int | None = None,
        fork: Callable[[int | None], Started] | None = None,
        errors: BinaryIO | None = None,
    ) -> None:
        self._on_message, self._on_exit = on_message, on_exit
        self._process: Started = fork(threads) if fork is not None else _start(command, threads, errors)
        self._say = LineWriter(self._process.stdin)
        threading.Thread(target=self._listen, daemon=True, name="child").start()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def send(self, say: str, **values: Any) -> None:
        """Send a message; one to a process that is dying is lost, and its end is told."""
        with contextlib.suppress(OSError, ValueError):
            self._say(say, **values)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ask_to_leave(self) -> None:
        """Ask it to tidy up and end."""
        self._process.terminate()

    def wait_or_kill(self, seconds: float) -> None:
        """Wait for its end, and kill it if that takes longer."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()

    def _listen(self) -> None:
        for line in self._process.stdout:
            message = read_line(line)
            if message is not None:
                self._on_message(self, message)
        code = self._process.wait()
        self._process.stdout.close()
        self._on_exit(self, code)


@contextlib.contextmanager
def interrupts_kept_off() -> Iterator[None]:
    """Let children that are started inside never hear of Ctrl-C, not even before they can say that they ignore it.

    The mask is inherited, and this thread's own is put back; on Windows there is none.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(command: Sequence[str], threads: int | None, errors: BinaryIO | None) -> Started:
    pipe = subprocess.PIPE
    with interrupts_kept_off():
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, env=child_environment(threads))


def run_child(work: Callable[[LineWriter], int]) -> NoReturn:
    """Be a child: do some work that says messages to the parent, then end with its exit code.

    What libraries print goes to stderr. Ctrl-C, which reaches parent and children, is left to the parent. SIGTERM
    raises `SystemExit` in the main thread, so that half-written files are removed.
    """
    protect_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    code = 1
    try:
        code = work(LineWriter(_private_stdout()))
    except BrokenPipeError:
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # threads that still read stdin would end the interpreter with an error


def parent_messages() -> Iterator[dict[str, Any]]:
    """Yield what the parent says; when the parent is gone, end this process, whatever it is doing."""
    for line in sys.stdin.buffer:
        message = read_line(line)
        if message is not None:
            yield message
    os._exit(0)


def _leave(number: int, frame: Any) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # it is leaving already
    raise SystemExit(128 + number)


def _private_stdout() -> Any:
    """Return a stream on stdout for messages alone; what libraries print goes to stderr."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream
