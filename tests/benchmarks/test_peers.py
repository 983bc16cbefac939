"""The cost of other programs beside ours: what is counted, and how they are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytest.importorskip("resource", reason="the operating system does not tell what a process took")

sys.path.insert(0, str(REPOSITORY / "benchmarks"))  # as Python does for a script of that folder
import peers
from peers import Cost

BURN = "import time\nwhile time.process_time() < 0.4: pass"


def _with_worker(code: str) -> list[str]:
    """A program that lets another one do its work."""
    return [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]


def test_what_a_worker_process_takes_is_counted(tmp_path: Path) -> None:
    assert peers.measure(_with_worker(BURN), peers.plain(), tmp_path).processor > 0.4


def test_the_largest_process_is_the_peak_in_megabytes(tmp_path: Path) -> None:
    size = 600  # MB
    command = _with_worker(f"b'x' * {size}_000_000")
    measured = f"peers.measure({command}, peers.plain(), Path({str(tmp_path)!r}))"
    code = f"import peers; from pathlib import Path; print({measured}.peak_mb)"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY / "benchmarks", capture_output=True, text=True)
    assert size < float(run.stdout) < size + 100, run.stderr  # in a process of its own: this one may be larger


def test_the_measuring_process_stays_small_because_a_child_inherits_its_peak() -> None:
    code = "import sys, peers; print([name for name in ('torch', 'numpy', 'monai') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY / "benchmarks", capture_output=True, text=True)
    assert run.stdout == "[]\n"


def test_a_program_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such scan"):
        peers.measure([sys.executable, "-c", "raise RuntimeError('no such scan')"], peers.plain(), tmp_path)


def test_a_program_that_wrote_no_label_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nnU-Net 2d wrote no label"):
        peers.require(tmp_path / "label.nii.gz", "nnU-Net 2d")


def test_threads_chosen_by_the_shell_decide_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "SEMGAN_THREADS", "nnUNet_def_n_proc"):
        monkeypatch.setenv(name, "1")
    assert not [name for name in peers.plain() if "THREADS" in name or "WAIT" in name or "nnUNet" in name]


def test_threads_of_peers_wait_passively_or_as_they_come() -> None:
    assert peers.waiting("passive")["OMP_WAIT_POLICY"] == "PASSIVE"
    assert peers.waiting("one")["nnUNet_def_n_proc"] == peers.waiting("one")["OMP_NUM_THREADS"] == "1"
    assert peers.waiting("default") == {}


def test_peers_can_fetch_nothing_and_tell_nobody(tmp_path: Path) -> None:
    assert peers.variables(tmp_path)["https_proxy"] == "http://[::1]:9"  # nobody listens there


def test_nnunet_predicts_with_one_fold_and_without_mirroring(tmp_path: Path) -> None:
    command, label = peers.command_of("nnU-Net 2d", Path("bin/python"), tmp_path, tmp_path, "passive")
    line = " ".join(command)
    assert all(part in line for part in ("-c 2d", "-f 0", "--disable_tta", "-step_size 0.5", "-device cpu"))
    assert label == tmp_path / "out" / "scan.nii.gz"


def test_totalsegmentator_runs_the_fast_task_of_the_modality(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text(json.dumps({"total_task": "total_mr"}))
    command, _ = peers.command_of("TotalSegmentator --fast", Path("bin/python"), tmp_path, tmp_path, "passive")
    assert "-ta total_mr --fast --ml" in " ".join(command)


def test_ratios_are_taken_pair_by_pair() -> None:
    slow, fast = 10.0, 1.0  # of a machine whose speed changes between the pairs
    pairs = [(Cost(s, s, 100, 0), Cost(5 * s, 6 * s, 300, 0)) for s in (slow, fast, fast)]
    row = peers.summarise("one", pairs)
    assert (row["processor"]["ratio"], row["wall"]["ratio"], row["peak_mb"]["ratio"]) == (5, 6, 3)
    assert "5.0 (5.0 x) | 6.0 (6.0 x) | 300 (3.0 x)" in peers.table([row])
