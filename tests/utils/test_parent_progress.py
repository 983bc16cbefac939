"""A child tells its parent how far it is, waits while that wants a pause, and ends when it is cancelled."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.utils.parent_progress import ABANDONED, ParentProgress


class Parent:
    """What the parent says, in the order in which it is put in; and what it has heard."""

    def __init__(self) -> None:
        self.said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.heard: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (message := self.said.get()) is not None:
            yield message
            self.said.task_done()

    def hear(self, say: str, **values: Any) -> None:
        self.heard.append({"say": say, **values})

    def tell(self, say: str) -> None:
        self.said.put({"say": say})
        self.said.join()


def test_steps_are_told_with_the_time_left() -> None:
    parent = Parent()
    with ParentProgress(parent.hear, parent) as progress:
        progress.update(1, 4, "learning", ETA=30.0, loss=0.5)
        progress.update(4, 4, "learning")
    assert parent.heard == [
        {"say": "progress", "step": 1, "steps": 4, "message": "learning", "eta": 30.0},
        {"say": "progress", "step": 4, "steps": 4, "message": "learning", "eta": None},
    ]


def test_of_many_steps_in_a_moment_few_are_told() -> None:
    parent = Parent()
    with ParentProgress(parent.hear, parent, clock=lambda: 0.0) as progress:
        for step in range(1, 100):
            progress.update(step, 1000, "learning")
    assert len(parent.heard) == 1


@pytest.mark.parametrize("word", ["resume", "cancel"])
def test_a_pause_is_spent_in_the_update_and_ends_with_the_parents_word(word: str) -> None:
    parent, done = Parent(), threading.Event()
    with ParentProgress(parent.hear, parent) as progress:
        parent.tell("pause")
        threading.Thread(target=lambda: (progress.update(1, 2), done.set()), daemon=True).start()
        assert not done.wait(0.2)
        parent.tell(word)
        assert done.wait(60)
        assert progress.should_stop() is (word == "cancel")


def test_the_parent_hears_why_the_work_has_failed_without_the_place_of_a_file() -> None:
    parent = Parent()
    with pytest.raises(SemganError), ParentProgress(parent.hear, parent):
        raise SemganError("holds no aorta", remedy="label it first", path="/home/erika/ct.nii.gz")
    assert parent.heard == [{"say": "failed", "message": "holds no aorta; label it first"}]


def test_a_child_without_a_parent_ends_with_a_code_that_is_no_success() -> None:
    code = "import time; from monai_semgan.utils.parent_progress import *\nwith ParentProgress(): time.sleep(60)"
    run = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert run.returncode == ABANDONED and "has gone" in run.stderr
