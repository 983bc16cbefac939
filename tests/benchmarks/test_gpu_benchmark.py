"""The benchmark for a GPU: it runs through without one, goes on where it was, and carries what it needs."""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.gpu_measuring.carrying import use_wheels
from benchmarks.gpu_measuring.room import SLICES_FILE, TINY, stored_slices
from monai_semgan.utils.device import select_device

Part = Callable[[Any], dict[str, Any]]


def run(path: Path, *options: str) -> dict[str, Any]:
    """The record that a run leaves."""
    gpu.main(["run", "--tiny", "--seconds", "0", "--out", str(path), *options])
    return dict(json.loads(path.read_text()))


def with_parts(monkeypatch: pytest.MonkeyPatch, seconds: float = 60.0, **parts: Part) -> None:
    """Only these parts, and a room that is ready at once."""

    class Room:
        cuda, bfloat16, sizes, device = False, False, TINY, select_device("cpu")

    monkeypatch.setattr(gpu, "PARTS", {name: (part, seconds) for name, part in parts.items()})
    monkeypatch.setattr(gpu, "Room", lambda *arguments: Room())


@pytest.mark.slow
def test_every_part_has_figures_beside_a_loop_of_one_slice_at_a_time(tmp_path: Path) -> None:
    record = run(tmp_path / "gpu.json", "--budget", "900")
    parts = record["parts"]
    assert list(parts) == list(gpu.PARTS)
    assert not [name for name, part in parts.items() if "error" in part]
    assert all("times_faster" in parts[name] for name in ("preview", "encode", "search", "gan", "encoder", "student"))
    assert parts["search"]["floor_ms_per_slice"] > 0
    assert list(parts["preview"]["ms_per_slice_by_batch"]) == ["1", "3"]
    for name in ("search_variants", "student_variants"):
        assert parts[name]["float32"]["difference"] < 1e-2
        assert parts[name]["bfloat16, channels last"]["difference"] < 0.1


def test_a_second_call_measures_what_is_missing_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def good(room: Any) -> dict[str, Any]:
        called.append("good")
        return {"figure": len(called)}

    def bad(room: Any) -> dict[str, Any]:
        called.append("bad")
        raise RuntimeError("no compiler")

    with_parts(monkeypatch, good=good, bad=bad)
    first = run(tmp_path / "gpu.json")
    assert first["parts"]["bad"]["error"] == "RuntimeError: no compiler"
    second = run(tmp_path / "gpu.json")
    assert called == ["good", "bad", "bad"]
    assert second["parts"]["good"] == first["parts"]["good"]


@pytest.mark.skipif(not hasattr(gpu.signal, "SIGALRM"), reason="this system has no alarms")
def test_a_part_that_hangs_is_ended_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hanging(room: Any) -> dict[str, Any]:
        while True:
            time.sleep(0.01)

    with_parts(monkeypatch, 2.0 / gpu.CPU_PATIENCE, hanging=hanging, after=lambda room: {"figure": 1})
    parts = run(tmp_path / "gpu.json")["parts"]
    assert parts["hanging"]["error"].startswith("TimeoutError")
    assert parts["after"]["figure"] == 1


def test_parts_for_which_no_time_is_left_wait_for_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parts(monkeypatch, late=lambda room: {"figure": 1})
    assert "no time" in run(tmp_path / "gpu.json", "--budget", "0")["parts"]["late"]["error"]
    assert run(tmp_path / "gpu.json")["parts"]["late"]["figure"] == 1


def test_the_slices_that_are_carried_are_those_that_are_measured(tmp_path: Path) -> None:
    assert gpu.main(["pack", str(tmp_path), "--no-wheels"]) == 0
    carried = np.load(tmp_path / SLICES_FILE)["slices"]
    assert carried.shape == (100, 128, 128) and carried.std() > 20
    few = stored_slices(tmp_path, 4)
    assert np.array_equal(few, carried[48:52])
    assert np.array_equal(stored_slices(tmp_path, 130)[100:], carried[:30])


def test_carried_wheels_are_found_without_being_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    with zipfile.ZipFile(tmp_path / "carried_thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried_thing.py", "VALUE = 3\n")
        wheel.writestr("carried_thing-1.0.dist-info/METADATA", "Name: carried-thing\nVersion: 1.0\n")
    use_wheels(tmp_path)
    import carried_thing

    assert carried_thing.VALUE == 3
    assert sys.path[-1] == str(tmp_path / "site")  # what is installed there comes first
