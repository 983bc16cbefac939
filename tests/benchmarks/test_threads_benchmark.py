"""The benchmark of threads: its busy cores end with it, and its record tells ratios to the default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import threads


def test_busy_cores_end_with_their_part_also_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with pytest.raises(ValueError, match="broken"), threads.busy_cores(2):
        assert len(started) == 2 and all(process.poll() is None for process in started)
        raise ValueError("broken")
    assert all(process.poll() is not None for process in started)


@pytest.mark.skipif(os.name != "posix", reason="Windows tells no parent")
def test_a_busy_core_ends_when_the_benchmark_is_killed() -> None:
    code = "import os, subprocess, sys, time\n"
    code += (
        f"subprocess.Popen([sys.executable, '-c', {threads.BUSY!r}, str(os.getpid())])\nprint('started', flush=True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", f"{code}\ntime.sleep(60)"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "started\n"
    parent.kill()
    assert parent.communicate(timeout=150) == ("", None)  # the end of the pipe, which the busy process holds as well


def test_ratios_are_those_of_a_round() -> None:
    rounds = [
        {"default": threads.Cost(10.0, 20.0), "chosen": threads.Cost(5.0, 5.0)},
        {"default": threads.Cost(40.0, 40.0), "chosen": threads.Cost(10.0, 10.0)},
        {"default": threads.Cost(10.0, 20.0), "chosen": threads.Cost(6.0, 5.0)},
    ]
    row = threads._row("chosen", rounds)
    assert row["wall_ratio"] == 0.5 and row["cpu_ratio"] == 0.25


def test_an_old_program_keeps_its_own_threads(tmp_path: Path) -> None:
    ways = threads.ways(2, tmp_path)
    assert ways["default"] == {"PYTHONPATH": str(tmp_path.resolve())} and ways["chosen"] == {}
    assert threads.ways(2, None)["default"]["OMP_NUM_THREADS"] == "2"
    assert ways["1 passive"]["GOMP_SPINCOUNT"] == threads.PASSIVE["GOMP_SPINCOUNT"]
