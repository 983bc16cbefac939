"""Children that are forked by a process which has imported and loaded, once, what all of them need.

A child begins at once then, and what was loaded lies in memory once. A fork copies one thread only: the process that
forks must never have had a second one, nor have touched a GPU. So it is a process of its own, which computes nothing,
and on Linux alone: elsewhere, libraries of the system do not survive a fork.

The owner sends it requests through a socket, each a JSON object, with the two pipes of a child beside it. It answers
with the child's id, and later with its exit code. Its end does not end the children: their stdin is the owner's.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NoReturn

from monai_semgan.utils.json_text import json_text
from monai_semgan.utils.processes import LineWriter, child_environment, interrupts_kept_off, run_child
from monai_semgan.utils.threads import NUMPY, OWN, THREAD_VARIABLES, prepare_threads

LOOK_SECONDS = 0.2
ENDING_SECONDS = 0.5
MESSAGE_BYTES = 4096
GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""One of them is there where a GPU can be computed on."""


def can_fork(device: str) -> bool:
    """Tell whether processes that compute on a device can be forked from one that has loaded their model."""
    on_processor = device == "cpu" or (device == "auto" and not any(map(os.path.exists, GPU_NODES)))
    return sys.platform == "linux" and on_processor


class ForkServer:
    """The process that forks, seen by its owner.

    Args:
        command: starts it; the number of its end of the socket is appended.

    Attributes:
        lost: whether it has ended.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.lost = False
        self._children: dict[int, ForkedProcess] = {}
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, interrupts_kept_off():
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=[theirs.fileno()],
            )
        threading.Thread(target=self._listen, daemon=True, name="fork-server").start()

    def fork(self, threads: int | None = None) -> ForkedProcess:
        """Ask for a child, which begins when the server has loaded everything.

        Args:
            threads: of its arithmetic; it chooses itself when left out.

        Raises:
            OSError: the server is gone.
        """
        stdin, ours_in = os.pipe()
        ours_out, stdout = os.pipe()
        child = ForkedProcess(self, os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb"))
        try:
            with self._lock:
                number = len(self._children)
                self._children[number] = child
                request = {"say": "fork", "child": number, "threads": threads}
                socket.send_fds(self._socket, [json_text(request).encode()], [stdin, stdout])
        finally:
            os.close(stdin)
            os.close(stdout)
        return child

    def signal(self, child: ForkedProcess, number: int) -> None:
        """Send a child a signal, if it has not ended: only the process that waits for it knows."""
        with self._lock, contextlib.suppress(OSError):
            index = next(index for index, one in self._children.items() if one is child)
            self._socket.send(json_text({"say": "signal", "child": index, "number": number}).encode())

    def close(self) -> None:
        """End the server; its children stay."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(MESSAGE_BYTES):
                message = json.loads(data)
                child = self._children[message["child"]]
                if message["say"] == "forked":
                    child.pid = message["pid"]
                else:
                    child.end(message["code"])
        self.lost = True


class ForkedProcess:
    """A forked child, with what `ChildProcess` wants of `subprocess.Popen`.

    Attributes:
        pid: its id; 0 until it has begun.
    """

    def __init__(self, server: ForkServer, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.server, self.stdin, self.stdout, self.pid = server, stdin, stdout, 0
        self._code = 0
        self._ended = threading.Event()

    def kill(self) -> None:
        """End it at once."""
        self.server.signal(self, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to tidy up and end."""
        self.server.signal(self, signal.SIGTERM)

    def end(self, code: int) -> None:
        """Note that it has ended."""
        self._code = code
        self._ended.set()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; without a server nobody can tell, so that it is killed.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(LOOK_SECONDS if timeout is None else min(LOOK_SECONDS, timeout)):
            if self.server.lost:
                with contextlib.suppress(OSError):
                    if self.pid:
                        os.kill(self.pid, signal.SIGKILL)
                self.end(-signal.SIGKILL)
            elif deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("fork", timeout or 0.0)
        return self._code


def _environment() -> dict[str, str]:
    """Return the environment in which libraries start no threads when they are loaded; a child chooses anew."""
    single = dict.fromkeys((*THREAD_VARIABLES, *NUMPY), "1")
    return {**child_environment(), **single, OWN: " ".join(THREAD_VARIABLES)}


def serve_forks(control: int, work: Callable[[LineWriter], int]) -> NoReturn:
    """Be the process that forks, until the owner is gone. Everything has been imported and loaded.

    Args:
        control: number of the socket's end.
        work: of a child, see `run_child`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a group of processes: its owner tells it when to end
        signal.signal(number, signal.SIG_IGN)
    if not _alone():
        os._exit(1)  # a lock that another thread holds would stay locked in the children for good
    gc.collect()
    gc.freeze()  # else every child's search for cycles would copy the memory that they share
    _Forks(socket.socket(fileno=control), work).serve()
    os._exit(0)


def _alone() -> bool:
    """Whether this process has no thread but one. Linux lists others a moment longer than their end is waited for."""
    deadline = time.monotonic() + ENDING_SECONDS
    while threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class _Forks:
    def __init__(self, control: socket.socket, work: Callable[[LineWriter], int]) -> None:
        self._control, self._work = control, work
        self._children: dict[int, int] = {}  # number by process id
        self._wake, self._woken = os.pipe()
        for end in (self._wake, self._woken):
            os.set_blocking(end, False)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._woken)
        ends: list[Any] = [self._control, self._wake]
        while True:
            ready = select.select(ends, [], [])[0]
            if self._wake in ready:
                os.read(self._wake, MESSAGE_BYTES)
            self._reap()
            if self._control in ready:
                try:
                    data, pipes, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
                except ConnectionError:  # the owner was killed, with answers unread
                    return
                if not data:
                    return
                self._obey(json.loads(data), pipes)

    def _obey(self, request: dict[str, Any], pipes: list[int]) -> None:
        if request["say"] == "signal":
            for pid, number in self._children.items():
                if number == request["child"]:
                    os.kill(pid, request["number"])
            return
        pid = os.fork()
        if not pid:
            self._become_child(pipes, request["threads"])
        self._children[pid] = request["child"]
        for pipe in pipes:
            os.close(pipe)
        self._tell({"say": "forked", "child": request["child"], "pid": pid})

    def _reap(self) -> None:
        """Tell of children that have ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._tell({"say": "ended", "child": self._children.pop(pid), "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(json_text(message).encode())

    def _become_child(self, pipes: list[int], threads: int | None) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for place, pipe in enumerate(pipes):
                os.dup2(pipe, place)
                os.close(pipe)
            for end in (self._wake, self._woken, self._control.detach()):
                os.close(end)
            prepare_threads(threads)
            run_child(self._work)
        finally:
            os._exit(1)
