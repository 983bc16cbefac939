"""Children that are forked from a process which has loaded everything once."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.utils import forking
from monai_semgan.utils.forking import ForkServer, can_fork
from monai_semgan.utils.processes import ChildProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")

SECONDS = 150
"""Only so that a process that hangs ends the test."""

SERVER = """
import os, sys, threading, time
from pathlib import Path
import torch
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.forking import serve_forks
from monai_semgan.utils.processes import parent_messages

folder = Path(sys.argv[1])
with (folder / "loaded").open("a") as stream:
    stream.write("once ")
{before}

def work(say):
    print("a library's chatter", flush=True)
    left, right = torch.ones(300, 300), torch.ones(300, 300)
    say("hello", pid=os.getpid(), threads=torch.get_num_threads(), product=float((left @ right).sum()))
    for message in parent_messages():
        if message["say"] == "write":
            threading.Thread(target=lambda: list(parent_messages()), daemon=True).start()
            with written_aside(folder / "label.nii") as aside:
                aside.write_text("half")
                say("half")
                time.sleep(60)
        say("echo", word=message["word"])

serve_forks(int(sys.argv[2]), work)
"""


class Heard:
    """A forked child and what it says."""

    def __init__(self, server: ForkServer, threads: int = 1) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.child = ChildProcess(
            [], lambda _, message: self.queue.put(message), lambda _, code: self.queue.put(code), threads, server.fork
        )

    def next(self) -> Any:
        return self.queue.get(timeout=SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkServer]:
    found = ForkServer([sys.executable, "-c", SERVER.format(before=""), str(tmp_path)])
    yield found
    found.close()


def test_children_compute_with_their_own_threads_and_what_was_loaded_once(server: ForkServer, tmp_path: Path) -> None:
    children = [Heard(server, threads) for threads in (1, 2)]
    said = [child.next() for child in children]
    assert [one["threads"] for one in said] == [1, 2] and said[0]["pid"] != said[1]["pid"]
    assert {one["product"] for one in said} == {300.0**3}
    assert (tmp_path / "loaded").read_text() == "once "
    for number, heard in enumerate(children):
        heard.child.send("word", word=str(number))
        assert heard.next() == {"say": "echo", "word": str(number)}


def test_a_child_that_is_killed_costs_nobody_else_and_another_takes_its_place(server: ForkServer) -> None:
    first, second = Heard(server), Heard(server)
    os.kill(first.next()["pid"], signal.SIGKILL)
    assert first.next() == -signal.SIGKILL
    third = Heard(server)
    assert second.next()["say"] == third.next()["say"] == "hello"
    second.child.kill()
    assert second.next() == -signal.SIGKILL
    third.child.send("word", word="spleen")
    assert third.next()["word"] == "spleen"


def test_a_child_that_is_asked_to_leave_removes_what_it_was_writing(server: ForkServer, tmp_path: Path) -> None:
    heard = Heard(server)
    assert heard.next()["say"] == "hello"
    heard.child.send("write")
    assert heard.next() == {"say": "half"} and len(list(tmp_path.iterdir())) == 2
    heard.child.ask_to_leave()
    heard.child.wait_or_kill(SECONDS)
    assert [path.name for path in tmp_path.iterdir()] == ["loaded"]


def test_children_live_on_without_the_server_and_end_without_their_parent(tmp_path: Path) -> None:
    server = ForkServer([sys.executable, "-c", SERVER.format(before=""), str(tmp_path)])
    heard = Heard(server)
    pid = heard.next()["pid"]
    server.close()
    _until(lambda: server.lost)
    heard.child.send("word", word="still here")
    assert heard.next()["word"] == "still here"
    heard.child._process.stdin.close()  # as the end of this process would
    _until(lambda: _ended(pid))
    assert heard.next() == -signal.SIGKILL, "nobody is there to tell the code"


@pytest.mark.parametrize("fault", ["raise SystemExit(1)", "threading.Thread(target=time.sleep, args=(60,)).start()"])
def test_a_server_that_cannot_fork_says_so_by_its_end(fault: str, tmp_path: Path) -> None:
    server = ForkServer([sys.executable, "-c", SERVER.format(before=fault), str(tmp_path)])
    heard = Heard(server)
    assert heard.next() == -signal.SIGKILL and server.lost
    server.close()


def test_nothing_is_forked_where_a_gpu_could_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(forking, "GPU_NODES", (str(tmp_path / "none"),))
    assert can_fork("cpu") and can_fork("auto") and not can_fork("cuda") and not can_fork("cuda:1")
    monkeypatch.setattr(forking, "GPU_NODES", (str(tmp_path),))
    assert can_fork("cpu") and not can_fork("auto")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_fork("cpu")


def _ended(pid: int) -> bool:
    """Whether a process has gone, or is only to be collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may go between the opening and the reading
        return True


def _until(done: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
