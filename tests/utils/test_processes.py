"""Child processes: what they get, what they say, and how they go."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.utils.process_pool import ProcessPool, Slot
from monai_semgan.utils.processes import ChildProcess, how_it_ended

SECONDS = 150
"""Only so that a process that hangs ends the test."""

START = """
import os, sys, threading, time
from pathlib import Path
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.processes import parent_messages, run_child
"""

ANSWER = (
    START
    + """
def work(say):
    print("a library's chatter", flush=True)
    say("hello", threads=os.environ.get("OMP_NUM_THREADS"), odd=float("nan"))
    for message in parent_messages():
        say("echo", **{"word": message["word"]})

run_child(work)
"""
)

WRITE = (
    START
    + """
def work(say):
    threading.Thread(target=lambda: list(parent_messages()), daemon=True).start()
    with written_aside(Path(sys.argv[1])) as aside:
        aside.write_text("half")
        say("half")
        time.sleep(60)

run_child(work)
"""
)


class Heard:
    """A child and what it says."""

    def __init__(self, code: str, *arguments: str, threads: int | None = None) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        command = [sys.executable, "-c", code, *arguments]
        self.child = ChildProcess(
            command, lambda _, message: self.queue.put(message), lambda _, code: self.queue.put(code), threads
        )

    def next(self) -> Any:
        return self.queue.get(timeout=SECONDS)


SLOW_TO_START = "import time; time.sleep(1.0)" + ANSWER


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals of this kind")
def test_ctrl_c_does_not_reach_a_child_that_is_still_importing() -> None:
    heard = Heard(SLOW_TO_START)
    for _ in range(5):
        time.sleep(0.15)
        os.kill(heard.child.pid, signal.SIGINT)
    assert heard.next()["say"] == "hello"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    heard.child.kill()


def test_messages_go_both_ways_and_nothing_that_libraries_print_is_among_them() -> None:
    heard = Heard(ANSWER, threads=3)
    assert heard.next() == {"say": "hello", "threads": "3", "odd": None}
    heard.child.send("word", word="liver")
    assert heard.next() == {"say": "echo", "word": "liver"}
    heard.child.ask_to_leave()
    heard.child.wait_or_kill(SECONDS)
    assert how_it_ended(heard.next()) == "was killed (signal 15)"


def test_a_child_that_is_asked_to_leave_removes_what_it_was_writing(tmp_path: Path) -> None:
    heard = Heard(WRITE, str(tmp_path / "label.nii"))
    assert heard.next() == {"say": "half"} and len(list(tmp_path.iterdir())) == 1
    heard.child.ask_to_leave()
    heard.child.wait_or_kill(SECONDS)
    assert not list(tmp_path.iterdir())


def test_a_child_that_does_not_leave_is_killed() -> None:
    deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(\'{"say": "up"}\', flush=True)'
    heard = Heard(f"{deaf}; time.sleep(60)")
    assert heard.next() == {"say": "up"}
    heard.child.ask_to_leave()
    heard.child.wait_or_kill(0.5)
    assert heard.next() == -signal.SIGKILL


def test_a_child_leaves_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import time
from monai_semgan.utils.processes import ChildProcess
child = ChildProcess([{sys.executable!r}, "-c", {WRITE!r}, {str(tmp_path / "x")!r}], lambda *_: print(child.pid), print)
time.sleep(60)
"""
    command = [sys.executable, "-u", "-c", parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + SECONDS
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        if Path("/proc/self/stat").exists():  # whoever is to collect it may never do so
            return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


class Pool(ProcessPool[Slot]):
    def __init__(self, code: str) -> None:
        import threading

        super().__init__([Slot([sys.executable, "-c", code])], threading.RLock())
        self.seen: list[object] = []
        self.died_at = 0.0

    def heard(self, slot: Slot, message: dict[str, Any]) -> None:
        self.seen.append(message["say"])

    def died(self, slot: Slot, code: int, was_ready: bool) -> None:
        self.died_at = time.monotonic()
        self.seen.append((code, was_ready))

    def until(self, count: int) -> list[object]:
        deadline = time.monotonic() + SECONDS
        while len(self.seen) < count and time.monotonic() < deadline:
            with self.lock:
                self.tend()
            time.sleep(0.02)
        return self.seen[:count]


def test_a_dead_child_is_replaced_and_one_that_cannot_start_waits_longer_each_time() -> None:
    pool = Pool('print(\'{"say": "ready"}\', flush=True); raise SystemExit(3)')
    pool.start()
    assert pool.until(4) == ["ready", (3, True), "ready", (3, True)] and pool.slots[0].deaths == 0
    pool.close()
    hopeless = Pool("raise SystemExit(4)")
    hopeless.start()
    assert hopeless.until(2) == [(4, False), (4, False)] and hopeless.slots[0].deaths == 2
    start = hopeless.slots[0].start_at
    assert start is not None and start - hopeless.died_at > 1.0
    hopeless.close()


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "was killed (signal 9)"), (143, "was killed (signal 15)"), (1, "ended (code 1)")]
)
def test_exit_codes_are_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
