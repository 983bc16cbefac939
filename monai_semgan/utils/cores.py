"""The processor: its name, the cores that this process may use, and how many of them others keep busy.

Read from the files of Linux; what other systems do not tell is left to a guess on the safe side.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path("/")
"""Where `proc` and `sys` are."""

LOOKS, PAUSE_SECONDS = 5, 0.001
"""So often, and with such pauses, the running programs are counted: some only wake for a moment."""


def logical_cpus() -> set[int]:
    """Return the numbers of the processors that the operating system lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def usable_cores(root: Path = ROOT) -> int:
    """Count the cores that this process may use, at least 1.

    Two hardware threads of one core count once, since arithmetic keeps the core busy with one. The quota of a
    container, which may be a fraction, is rounded up, as Java does.
    """
    cores = _physical(logical_cpus(), root)
    quota = container_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def machine_cores(root: Path = ROOT) -> int:
    """Count the cores of the machine, those that this process may not use as well."""
    return _physical(set(range(os.cpu_count() or 1)), root)


def _physical(cpus: set[int], root: Path) -> int:
    if sys.platform == "darwin":
        return min(len(cpus), _fast_cores_of_a_mac() or len(cpus))
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    siblings = {_text(root / topology.format(cpu)) or f"alone {cpu}" for cpu in cpus}
    return max(1, len(siblings))


def _fast_cores_of_a_mac() -> int:
    """Count the cores of the fast kind, as PyTorch does there; 0 if that cannot be told."""
    for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):  # the first is Apple silicon's
        try:
            command = ["/usr/sbin/sysctl", "-n", name]
            told = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5).stdout
        except (OSError, subprocess.TimeoutExpired):
            continue
        if told.strip().isdecimal():
            return int(told)
    return 0


def container_quota(root: Path = ROOT) -> float | None:
    """Return the share of processors that a container grants, such as 0.5; None without a limit.

    Groups lie in one another, and the tightest one counts. In a container the path is often that of the host, of which
    only the mount's root is visible.
    """
    found: list[float] = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        controllers, path = (line.split(":", 2) + ["", ""])[1:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [controllers, "cpu"] if controllers else ["", "unified"]
        for mount in (root / "sys/fs/cgroup" / name for name in mounts):
            inner = mount / path.lstrip("/")
            folders = [inner, *inner.parents][: len(inner.parts) - len(mount.parts) + 1]
            found += [quota for folder in folders if (quota := _quota_of(folder)) is not None]
    return min(found, default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the limit of one group, in the words of cgroup v2 or v1."""
    words = (_text(folder / "cpu.max") or "").split()
    if len(words) < 2:
        words = [_text(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:  # "max", or nothing there
        return None
    return quota / period if quota > 0 and period > 0 else None


def busy_cores(root: Path = ROOT, lasting: bool = False) -> int:
    """Count the cores that other programs keep busy at this moment.

    Linux tells how many tasks run or want to; elsewhere the load of the last minute has to do, and Windows tells
    nothing that is as cheap.

    Args:
        root: where `proc` is.
        lasting: count only what has been so for about a minute.
    """
    looks = [_running(root)]
    while looks[0] is not None and len(looks) < LOOKS:
        time.sleep(PAUSE_SECONDS)
        looks.append(_running(root))
    counts = sorted(count for count in looks if count is not None)
    minute = round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    if not counts:
        return minute
    now = counts[len(counts) // 2]
    return min(now, minute) if lasting else now


def _running(root: Path) -> int | None:
    """Count the tasks of the machine that run or want to, this one aside."""
    words = (_text(root / "proc/loadavg") or "").split()
    try:
        return max(0, int(words[3].partition("/")[0]) - 1)
    except (IndexError, ValueError):
        return None


def processor_name(root: Path = ROOT) -> str:
    """Return what the processor calls itself."""
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
