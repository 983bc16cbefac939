"""How many cores this process may use, in a container as well, and how many others keep busy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monai_semgan.utils import cores


def tell(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.fixture
def eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux machine of eight hardware threads in four cores, all for this process."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for cpu in range(8):
        tell(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}")
    return tmp_path


def test_two_hardware_threads_are_one_core(eight: Path) -> None:
    assert cores.usable_cores(eight) == cores.machine_cores(eight) == 4


def test_a_process_that_is_kept_on_some_processors_has_only_their_cores(
    eight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 2, 5}, raising=False)
    assert cores.usable_cores(eight) == 2 and cores.machine_cores(eight) == 4


@pytest.mark.parametrize(
    ("limit", "count"), [("50000 100000", 1), ("150000 100000", 2), ("300000 100000", 3), ("max 100000", 4)]
)
def test_the_quota_of_a_container_counts(limit: str, count: int, eight: Path) -> None:
    tell(eight, "proc/self/cgroup", "0::/")
    tell(eight, "sys/fs/cgroup/cpu.max", limit)
    assert cores.usable_cores(eight) == count


def test_the_tightest_group_counts(eight: Path) -> None:
    tell(eight, "proc/self/cgroup", "0::/user.slice/job.scope")
    tell(eight, "sys/fs/cgroup/user.slice/cpu.max", "200000 100000")
    tell(eight, "sys/fs/cgroup/user.slice/job.scope/cpu.max", "300000 100000")
    assert cores.container_quota(eight) == 2


def test_groups_of_the_first_kind_are_understood_where_only_the_mount_is_visible(eight: Path) -> None:
    tell(eight, "proc/self/cgroup", "5:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n0::/docker/4f")
    tell(eight, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "80000")
    tell(eight, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
    assert cores.container_quota(eight) == 0.8 and cores.usable_cores(eight) == 1


def test_no_limit_is_none(eight: Path) -> None:
    assert cores.container_quota(eight) is None
    tell(eight, "proc/self/cgroup", "4:cpu:/\n0::/")
    tell(eight, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1")
    tell(eight, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert cores.container_quota(eight) is None


def test_systems_that_tell_nothing_have_their_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert cores.usable_cores(tmp_path) == 6 and cores.busy_cores(tmp_path) == 0
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores(tmp_path) == 1
    assert cores.processor_name(tmp_path)


def test_a_mac_computes_with_its_fast_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sysctl(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        known = {"hw.perflevel0.physicalcpu": "4\n"}
        return subprocess.CompletedProcess(command, 0, known.get(command[-1], ""), "")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(subprocess, "run", sysctl)
    assert cores.usable_cores(tmp_path) == 4


def test_what_runs_at_this_moment_is_busy_and_this_process_is_not(eight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 6.0, 6.0), raising=False)
    tell(eight, "proc/loadavg", "6.00 6.00 6.00 1/412 9731")  # a program of mine has just ended
    assert cores.busy_cores(eight) == 0
    tell(eight, "proc/loadavg", "0.20 0.18 0.12 4/412 9731")
    assert cores.busy_cores(eight) == 3


def test_work_of_hours_does_not_yield_to_what_has_just_begun(eight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(eight, "proc/loadavg", "0.20 0.18 0.12 4/412 9731")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.2, 0.18, 0.12), raising=False)
    assert cores.busy_cores(eight, lasting=True) == 0
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0, 0.9, 0.5), raising=False)
    assert cores.busy_cores(eight, lasting=True) == 2


def test_the_processor_is_named(tmp_path: Path) -> None:
    tell(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Fast 9000\n")
    assert cores.processor_name(tmp_path) == "Fast 9000"
