"""The benchmark of scale: it finds what grows faster than the scan, and runs the command as a user does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmarks import scale


def costs(power: float) -> dict[int, scale.Cost]:
    """What scans cost if everything grows with a power of their slices."""
    return {
        n: scale.Cost(2.0 + (n / 100) ** power, 3.0 + (n / 100) ** power, 400.0 + n**power) for n in (100, 300, 1000)
    }


BASE = scale.Cost(2.0, 3.0, 400.0)


def test_what_costs_the_same_for_every_slice_passes() -> None:
    part = scale.summary("preview", BASE, costs(1.0))
    assert part["processor_seconds"]["exponent"] == pytest.approx(1.0, abs=0.01)
    assert part["processor_seconds"]["of_one_more"] == pytest.approx(0.01)
    assert scale.too_fast({"preview": part}) == []


def test_what_grows_faster_than_the_scan_is_named() -> None:
    part = scale.summary("encoder", BASE, costs(1.5))
    assert scale.too_fast({"encoder": part}) == ["encoder: processor_seconds", "encoder: peak_mb"]


def test_a_cost_that_does_not_grow_has_no_exponent() -> None:
    assert scale.exponent(100.0, {1: 100.0, 10: 101.0}) is None


def test_memory_that_is_the_same_up_to_a_size_and_then_grows_like_the_scan_passes() -> None:
    peaks = {n: max(730.0, 500.0 + 1.4 * n) for n in (100, 300, 600, 1000)}
    assert scale.marginal_exponent(peaks) == pytest.approx(1.0)
    assert scale.marginal_exponent({1: 400.0, 10: 400.0, 100: 401.0}) is None
    assert scale.marginal_exponent({1: 400.0, 10: 500.0}) is None


def test_the_memory_of_a_run_is_its_own_and_not_that_of_who_starts_it() -> None:
    mine = np.ones(2**25)  # 256 MiB
    assert 1 < scale.measured([sys.executable, "-c", "pass"]).peak_mb < 100 < mine.nbytes / 2**20


def test_what_a_run_takes_is_measured() -> None:
    work = (
        "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nx = b'x' * (100 * 2**20)"
    )
    cost = scale.measured([sys.executable, "-c", work])
    assert cost.processor_seconds >= 0.3 and cost.wall_seconds >= 0.3 and cost.peak_mb > 100


def test_a_longer_scan_repeats_the_slices_of_the_patient(tmp_path: Path) -> None:
    path = scale.write_scan(tmp_path / "scan.nii", 2 * scale.BLOCK + 7, 24)
    array = np.asanyarray(nibabel.load(path).dataobj)
    assert array.shape == (24, 24, 207)
    assert np.array_equal(array[:, :, :100], array[:, :, 100:200])
    assert not np.array_equal(array[::-1], array)


@pytest.mark.slow
def test_it_measures_scans_and_cohorts_and_draws_them(tmp_path: Path, tiny_bundle: Path) -> None:
    out, figure = tmp_path / "scale.json", tmp_path / "scale.png"
    options = ["--parts", "preview", "cohort-1", "--slices", "6", "12", "--scans", "1", "2", "--scan-slices", "4"]
    options += ["--pixels", "48", "--bundle", str(tiny_bundle), "--out", str(out)]
    scale.main(options)
    parts = json.loads(out.read_text())["parts"]
    assert list(parts["preview"]["costs"]) == ["6", "12"] and list(parts["cohort-1"]["costs"]) == ["1", "2"]
    assert all(cost["peak_mb"] > 50 for part in parts.values() for cost in part["costs"].values())
    before = out.stat().st_mtime_ns
    pytest.importorskip("matplotlib")
    scale.main([*options, "--figure", str(figure)])  # what stands in the record is not measured again
    assert figure.stat().st_size > 1000 and out.stat().st_mtime_ns == before
