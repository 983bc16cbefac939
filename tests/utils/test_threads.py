"""How many threads compute, who decides, and that they sleep while they wait."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.utils import threads
from monai_semgan.utils.processes import child_environment
from tests.conftest import REPOSITORY

NAMES = (threads.VARIABLE, threads.OWN, *threads.THREAD_VARIABLES, *threads.PASSIVE, *threads.NUMPY)


@pytest.fixture(autouse=True)
def nobody_has_said_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_asked", None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A machine of eight cores; change the numbers to make it another."""
    told = {"usable": 8, "cores": 8, "busy": 0, "for a minute": 0}
    monkeypatch.setattr(threads, "usable_cores", lambda: told["usable"])
    monkeypatch.setattr(threads, "machine_cores", lambda: told["cores"])
    monkeypatch.setattr(threads, "busy_cores", lambda lasting: told["for a minute" if lasting else "busy"])
    monkeypatch.setattr(threads, "logical_cpus", lambda: set(range(told["cores"])))
    return told


def test_an_idle_machine_is_used(machine: dict[str, int]) -> None:
    assert threads.choose_threads() == threads.ThreadChoice(8, "8 cores for this process")


@pytest.mark.parametrize(("busy", "count"), [(1, 4), (4, 4), (5, 2), (7, 1), (40, 1)])
def test_a_busy_machine_is_shared(busy: int, count: int, machine: dict[str, int]) -> None:
    machine["busy"] = busy
    choice = threads.choose_threads()
    assert choice.count == count and f"{busy} of the machine busy" in choice.reason


def test_others_on_a_large_machine_do_not_matter_to_a_small_container(machine: dict[str, int]) -> None:
    machine.update(cores=64, usable=2, busy=40)
    assert threads.choose_threads().count == 2


def test_the_number_does_not_change_the_last_bit_of_a_label(machine: dict[str, int]) -> None:
    machine.update(usable=6)
    assert threads.choose_threads().count == 4
    assert threads.choose_threads(lasting=True).count == 6


def test_a_training_shares_with_what_has_been_busy_for_long(machine: dict[str, int]) -> None:
    machine.update(busy=5)
    assert threads.choose_threads(lasting=True).count == 8
    machine["for a minute"] = 3
    assert threads.choose_threads(lasting=True).count == 5


def test_who_says_a_number_is_obeyed_the_nearest_first(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    assert threads.choose_threads().count == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert threads.choose_threads() == threads.ThreadChoice(5, "$OMP_NUM_THREADS", asked=True)
    monkeypatch.setenv("SEMGAN_THREADS", "3")
    assert threads.choose_threads().count == 3
    assert threads.choose_threads(2).count == 2


def test_more_threads_than_processors_are_not_taken(machine: dict[str, int]) -> None:
    choice = threads.choose_threads(1000)
    assert choice.count == 8 and choice.reason == "--threads says 1000, there are 8"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_nonsense_is_one_line_with_a_remedy(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMGAN_THREADS", text)
    with pytest.raises(SemganError, match="give a whole number from 1 on") as caught:
        threads.choose_threads()
    assert "$SEMGAN_THREADS" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "0", "many"])
def test_what_openmp_would_not_take_from_its_own_variable_is_as_if_unsaid(
    text: str, machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads.choose_threads().count == 8


def test_processes_of_torchrun_share_the_cores(machine: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    machine.update(busy=4)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert threads.choose_threads(lasting=True).count == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.choose_threads(lasting=True).count == 3


def test_processes_share_the_cores_unless_a_number_is_said(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads.threads_each(1) is None
    assert [threads.threads_each(count) for count in (2, 3, 8, 20)] == [4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert threads.threads_each(3) == 6


def test_where_pytorch_is_loaded_its_threads_change_and_the_environment_does_not(machine: dict[str, int]) -> None:
    before = torch.get_num_threads()
    try:
        threads.prepare_threads(1)
        assert torch.get_num_threads() == 1 and threads.threads_each(4) == 1
        machine.update(usable=2)
        threads.prepare_threads()
        assert torch.get_num_threads() == 2
        machine.update(busy=7)
        assert threads.refresh_threads().count == torch.get_num_threads() == 1
        assert not set(NAMES).intersection(os.environ)
    finally:
        torch.set_num_threads(before)


def test_children_wait_passively_with_their_number_of_threads(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = child_environment(3)
    assert {child[name] for name in (threads.VARIABLE, *threads.THREAD_VARIABLES)} == {"3"}
    assert threads.PASSIVE.items() <= child.items() and child["OPENBLAS_NUM_THREADS"] == "1"
    assert not {threads.VARIABLE, *threads.THREAD_VARIABLES}.intersection(child_environment())
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    child = child_environment(3)
    assert child["OMP_WAIT_POLICY"] == "ACTIVE" and "GOMP_SPINCOUNT" not in child
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert child_environment()["OPENBLAS_NUM_THREADS"] == "2"


PROGRAM = """
import json, os, sys
from monai_semgan.utils import threads
from monai_semgan.utils.processes import child_environment

choice = threads.prepare_threads({asked})
assert "torch" not in sys.modules
import torch

print(json.dumps([choice.count, torch.get_num_threads(), child_environment(), threads.waiting()]))
"""


def started(asked: int | None = None, **variables: str) -> tuple[list[object], str]:
    """What a program of its own chose, and what OpenMP says when it is loaded."""
    environment = {**{n: v for n, v in os.environ.items() if n not in NAMES}, **variables, "OMP_DISPLAY_ENV": "verbose"}
    command = [sys.executable, "-c", PROGRAM.format(asked=asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_program_gets_its_threads_and_its_children_choose_for_themselves() -> None:
    (count, of_torch, child, waiting), _ = started()
    assert count == of_torch and waiting == "passive"
    assert isinstance(child, dict) and child["OMP_WAIT_POLICY"] == "PASSIVE" and "OMP_NUM_THREADS" not in child


def test_what_the_user_asked_for_is_handed_on() -> None:
    (count, of_torch, child, _), _ = started(asked=1, OMP_NUM_THREADS="2")
    assert count == of_torch == 1
    assert isinstance(child, dict) and child["OMP_NUM_THREADS"] == child["SEMGAN_THREADS"] == "1"


def test_the_users_own_variables_stay() -> None:
    (count, of_torch, child, waiting), _ = started(OMP_NUM_THREADS="2", GOMP_SPINCOUNT="77")
    assert count == of_torch == 2 and waiting == "as $GOMP_SPINCOUNT=77"
    assert isinstance(child, dict) and child["OMP_NUM_THREADS"] == "2" and "OMP_WAIT_POLICY" not in child


@pytest.mark.skipif(not list((Path(torch.__file__).parent / "lib").glob("libgomp*")), reason="GNU's OpenMP tells")
def test_openmp_hears_of_it_though_it_is_set_while_the_program_runs() -> None:
    assert f"GOMP_SPINCOUNT = '{threads.PASSIVE['GOMP_SPINCOUNT']}'" in started()[1]
    assert "GOMP_SPINCOUNT = '300000'" in started(GOMP_SPINCOUNT="300000")[1]


HEAPS_OF_THREADS = """
import ctypes, sys, threading
if sys.argv[1] == "prepared":
    from monai_semgan.utils.threads import prepare_threads
    prepare_threads(2)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(7)
def work():
    together.wait()
    libc.malloc(10_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
together.wait()
together.wait()
stream = libc.fdopen
stream.restype, libc.malloc_info.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
libc.fflush.argtypes = (ctypes.c_void_p,)
out = stream(1, b"w")
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heaps of glibc")
@pytest.mark.parametrize(("how", "few"), [("prepared", True), ("as it comes", False)])
def test_threads_of_a_program_share_two_heaps(how: str, few: bool) -> None:
    command = [sys.executable, "-c", HEAPS_OF_THREADS, how]
    told = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True).stdout
    assert (told.count("<heap nr=") <= 2) is few
