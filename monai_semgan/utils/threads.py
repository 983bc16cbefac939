"""How many threads compute, and how they wait for one another: one rule for all programs of this package.

In this order decide: `--threads`, `SEMGAN_THREADS`, the user's own `OMP_NUM_THREADS` or `MKL_NUM_THREADS`, and the
cores that this process may use and that nobody keeps busy. Threads that wait sleep soon, unless the user says
otherwise: those of PyTorch's wheels spin for milliseconds, which takes a multiple of the work's processor time as soon
as another program wants a core, and then more time on the clock as well.

What OpenMP reads, it reads once, when PyTorch is loaded: nothing here imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from monai_semgan.errors import SemganError
from monai_semgan.utils.cores import busy_cores, logical_cpus, machine_cores, usable_cores

VARIABLE = "SEMGAN_THREADS"
OWN = "SEMGAN_OWN_VARIABLES"
"""Names the variables that this package has set: what reads them later must not take them for the user's."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""PyTorch's. Read once, when it is loaded: a process that has loaded it cannot set them for itself."""

NUMPY = {"OPENBLAS_NUM_THREADS": "1"}
"""What NumPy computes here is over in milliseconds: its threads mostly spin, and change the last bit of a slice."""

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""For GNU's OpenMP in the wheels for Linux, and LLVM's and Intel's in those for macOS and Windows.

A thread looks for new work for a moment, 10,000 times or a millisecond, before it sleeps; by themselves they look
300,000 times or 200 ms. Between two layers of a network there is a moment only: threads that sleep at once take 1.7
times as long on an idle machine, and on a busy one hardly less processor time.
"""

GLIBC_ARENA_MAX, HEAPS = -8, 2
"""Name of a setting in glibc's malloc.h, and its value."""

REMEDY = "give a whole number from 1 on, or leave it out"


@dataclass(frozen=True)
class ThreadChoice:
    """How many threads compute.

    Args:
        count: of threads, at least 1.
        reason: in words, who or what decided.
        asked: whether somebody has said a number.
    """

    count: int
    reason: str
    asked: bool = False


_asked: int | None = None
"""What `--threads` said when this process was prepared."""


def choose_threads(requested: int | None = None, lasting: bool = False) -> ThreadChoice:
    """Choose how many threads compute; nothing is changed.

    Where nobody says a number it is a power of two: sums in bfloat16 are divided among the threads, and with those the
    networks give the same result to the last bit, so that a label does not depend on what else the machine did; that of
    a search does (`invert`, `refine`), whose gradients are divided too.

    Args:
        requested: by the user.
        lasting: the work takes hours, as a training does: only programs count that have been busy for a minute, and
            any number will do, since it stays.

    Raises:
        SemganError: the user's number is none.
    """
    if requested is not None:
        return _limited(requested, "--threads")
    if _users(VARIABLE) is not None:
        return _limited(_number(_users(VARIABLE)), f"${VARIABLE}")
    for name in THREAD_VARIABLES:
        count = _first_number(_users(name))
        if count is not None:
            return ThreadChoice(count, f"${name}", asked=True)
    return _by_cores(lasting)


def prepare_threads(requested: int | None = None, lasting: bool = False) -> ThreadChoice:
    """Choose, and make it so: for the libraries of this process before they are loaded, afterwards for PyTorch alone.

    To be called by programs; a library leaves its user's process as it is.

    Args:
        requested: see `choose_threads`.
        lasting: see `choose_threads`.

    Raises:
        SemganError: the user's number is none.
    """
    global _asked
    choice = choose_threads(requested, lasting)
    _asked = requested
    torch = sys.modules.get("torch")
    if torch is None:
        ours = [name for name in THREAD_VARIABLES if _told() or _users(name) is None]
        _export({**quiet_variables(), **dict.fromkeys(ours, str(choice.count))})
        _share_heaps()
    elif torch.get_num_threads() != choice.count:
        torch.set_num_threads(choice.count)
    return choice


def _share_heaps() -> None:
    """Let all threads take memory from two heaps: glibc gives each one of its own, which keeps what the thread frees.

    A preview by two threads then needs 30 MB less, at the same speed; by more, more.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # other C libraries
        ctypes.CDLL(None).mallopt(GLIBC_ARENA_MAX, HEAPS)


def refresh_threads() -> ThreadChoice:
    """Choose anew in a process that lives long, before its next scan: another program may have begun or ended."""
    return prepare_threads(_asked)


def threads_each(processes: int) -> int | None:
    """Return the threads that each of several processes on this machine gets; None for one, which chooses itself.

    The user's number is that of each process.
    """
    if processes < 2:
        return _asked
    choice = choose_threads(_asked)
    return choice.count if choice.asked else power_of_two(max(1, usable_cores() // processes))


def child_variables(threads: int | None = None) -> dict[str, str]:
    """Return what a child's environment says about threads.

    Args:
        threads: of the child's arithmetic; when left out, it chooses as this process was told to.
    """
    count = _asked if threads is None else threads
    limits = {} if count is None else dict.fromkeys((VARIABLE, *THREAD_VARIABLES), str(count))
    return {**quiet_variables(), **limits}


def own_variables() -> set[str]:
    """Return the names of variables that are in the environment because this package has put them there."""
    return {OWN, *os.environ.get(OWN, "").split()}


def quiet_variables() -> dict[str, str]:
    """Return the variables that keep threads from spinning, without those about which the user has said something."""
    numpy = {name: value for name, value in NUMPY.items() if _users(name) is None}
    return numpy if _users_waiting() else {**PASSIVE, **numpy}


def waiting(environment: Mapping[str, str] = os.environ) -> str:
    """Say in words how threads wait for one another in a process that was started with an environment."""
    users = _users_waiting()
    if users:
        return f"as {' and '.join(f'${name}={environment[name]}' for name in users)}"
    return "passive" if environment.get("OMP_WAIT_POLICY") == "PASSIVE" else "as OpenMP does by itself"


def power_of_two(count: int) -> int:
    """Return the largest power of two that is not above a positive number."""
    return 1 << (count.bit_length() - 1)


def _by_cores(lasting: bool) -> ThreadChoice:
    usable, beside = usable_cores(), _processes_beside()
    if beside > 1:  # they all begin at this moment, and would take one another for other programs
        count = max(1, usable // beside)
        told = f"{usable} cores for {beside} processes"
        return ThreadChoice(count if lasting else power_of_two(count), told)
    busy = busy_cores(lasting=lasting)
    free = max(1, min(usable, machine_cores() - busy))
    count = free if lasting else power_of_two(free)
    told = f"{usable} core{'' if usable == 1 else 's'} for this process"
    if free < usable:
        told += f", {busy} of the machine busy"
    return ThreadChoice(count, told)


def _limited(count: int, whose: str) -> ThreadChoice:
    """Take the user's number, and not more than there are processors: more only wait for one another."""
    if count < 1:
        raise SemganError(f"{whose} is {count}", remedy=REMEDY)
    most = len(logical_cpus())
    told = whose if count <= most else f"{whose} says {count}, there are {most}"
    return ThreadChoice(min(count, most), told, asked=True)


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise SemganError(f"${VARIABLE} is {text!r}", remedy=REMEDY) from None


def _first_number(text: str | None) -> int | None:
    """Return the number of `OMP_NUM_THREADS`, which may be a list by depth; None where OpenMP would not take it."""
    word = (text or "").split(",")[0].strip()
    return int(word) if word.isdecimal() and int(word) > 0 else None


def _told() -> bool:
    """Whether a number was said for this package, which goes before what is said to all programs."""
    return _asked is not None or _users(VARIABLE) is not None


def _users(name: str) -> str | None:
    """Return a variable that the user has set; None if there is none, it is empty, or a program has set it."""
    value = os.environ.get(name) or None
    by_torchrun = name == "OMP_NUM_THREADS" and value == "1" and _processes_beside() > 1
    return None if name in own_variables() or by_torchrun else value


def _processes_beside() -> int:
    """Return how many processes torchrun has started on this machine; it sets `OMP_NUM_THREADS` to 1 for each."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "") if "TORCHELASTIC_RUN_ID" in os.environ else ""
    return int(told) if told.isdecimal() else 1


def _users_waiting() -> list[str]:
    return [name for name in PASSIVE if _users(name) is not None]


def _export(variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    os.environ[OWN] = " ".join(sorted({*own_variables(), *variables} - {OWN}))
