"""Volumes are prepared by several processes with the same result, and whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad

from monai_semgan.data.cache import VolumeCache
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.preparation import build_slice_set, prepare_all, worthwhile_helpers
from monai_semgan.data.preparation_helpers import PreparationHelpers
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import training_transforms
from monai_semgan.utils.progress import NullProgress
from tests.phantoms import save_datalist, save_nifti, save_patient

COARSE = Preprocessing(size=64, pixel_mm=5.5)
GRIDS = {"spacing": (5.0, 5.0, 20.0)}
NAMES = ("ann", "bert", "cleo", "dora", "emil", "fay")


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, ...]:
    folder = tmp_path_factory.mktemp("patients")
    saved = [save_patient(folder, name, **GRIDS) for name in NAMES]
    return load_datalist(save_datalist(folder, training=saved)).training


class Told(NullProgress):
    """Remembers what it was told; stops after so many updates."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.counts: list[int] = []
        self.stop_after = stop_after

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        assert total == len(NAMES)
        self.counts.append(done)

    def should_stop(self) -> bool:
        return len(self.counts) >= self.stop_after


class Waiting(NullProgress):
    """Lets this process begin only when another one has prepared a volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_others = 0

    def update(self, done: int, total: int, message: str = "", **values: float) -> None:
        deadline = time.monotonic() + 300
        while not self.by_others and time.monotonic() < deadline:
            self.by_others = len(list(self.folder.glob("*.pt")))
            time.sleep(0.05)


def test_several_processes_give_the_same_slices_in_the_same_order(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    alone = prepare_all(VolumeCache(entries, COARSE, tmp_path / "alone"), NullProgress(), helpers=0)
    waiting = Waiting(tmp_path / "shared")
    shared = prepare_all(VolumeCache(entries, COARSE, tmp_path / "shared"), waiting, helpers=1)
    assert waiting.by_others > 0
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])
        assert one["geometry"] == other["geometry"]


def test_the_bar_counts_what_all_have_done_and_never_falls_back(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    prepare_all(VolumeCache(entries[:2], COARSE, tmp_path), NullProgress(), helpers=0)
    told = Told()
    prepare_all(VolumeCache(entries, COARSE, tmp_path), told, helpers=1)
    assert told.counts[0] == 2 and told.counts[-1] == len(NAMES)
    assert told.counts == sorted(told.counts)


def test_a_helper_that_is_killed_costs_nothing(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    cache = VolumeCache(entries, COARSE, tmp_path)
    with PreparationHelpers(cache, cache.missing(), 1) as others:
        deadline = time.monotonic() + 300
        while others.slots[0].number is None:
            assert time.monotonic() < deadline, "the helper has never begun"
            time.sleep(0.01)
        with others.lock:
            process = others.slots[0].process
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
        numbers = []
        while not others.finished:
            number = others.take()
            if number is not None:
                numbers.append(number)
                others.done(number)
    by_helper = len(list(tmp_path.glob("*.pt")))  # more than none only if it was fast
    assert len(numbers) + by_helper >= len(NAMES)


def test_a_bad_scan_is_named_and_what_others_prepared_is_kept(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    bad = Entry(save_nifti(tmp_path / "bad.nii.gz", np.full((4, 4, 4), np.nan)), None, "bad")
    cache = VolumeCache((*entries, bad), COARSE, tmp_path / "cache")
    with pytest.raises(SemganError, match=r"bad\.nii\.gz: 64 voxels are NaN or infinite"):
        prepare_all(cache, NullProgress(), helpers=1)
    assert len(list((tmp_path / "cache").glob("*.pt"))) >= 1
    assert build_slice_set(entries, COARSE, tmp_path / "cache").patients == NAMES


def test_a_stop_keeps_what_is_prepared_and_leaves_no_process(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(Cancelled, match="what was prepared is kept"):
        prepare_all(VolumeCache(entries, COARSE, tmp_path), Told(stop_after=3), helpers=1)
    assert 1 <= len(list(tmp_path.glob("*.pt"))) < len(NAMES)
    assert not list(tmp_path.glob(".*.part"))
    deadline = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= threads


def test_transforms_that_cannot_travel_are_applied_here(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    local: Any = Compose([*training_transforms(COARSE).transforms, Lambdad("modality", lambda value: value)])
    items = prepare_all(VolumeCache(entries, COARSE, tmp_path, local), NullProgress(), helpers=1)
    assert len(items) == len(NAMES)


def test_few_volumes_or_one_thread_need_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_semgan.data.preparation.usable_cores", lambda: 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert [worthwhile_helpers(volumes) for volumes in (0, 7, 8, 24, 1000)] == [0, 0, 1, 3, 3]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert worthwhile_helpers(1000) == 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert worthwhile_helpers(1000) == 7
