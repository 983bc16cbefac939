"""`--threads`, `SEMGAN_THREADS`, and what `semgan info` tells of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.utils.threads import NUMPY, OWN, PASSIVE, THREAD_VARIABLES, VARIABLE
from tests.conftest import REPOSITORY

AFTERWARDS = """
import json, os, sys
from monai_semgan.cli import main
code = main(sys.argv[1:])
import torch
print(json.dumps([code, torch.get_num_threads(), os.environ.get("OMP_WAIT_POLICY")]))
"""


def after(*arguments: str | Path, **variables: str) -> tuple[list[object], str]:
    """Exit code, number of threads and way of waiting of a process that runs a command; and its stderr."""
    ours = (VARIABLE, OWN, *THREAD_VARIABLES, *PASSIVE, *NUMPY)
    environment = {**{name: value for name, value in os.environ.items() if name not in ours}, **variables}
    command = [sys.executable, "-c", AFTERWARDS, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("command", ["segment", "evaluate", "selfcheck", "sample", "train", "calibrate", "serve"])
def test_every_command_that_computes_takes_a_number_of_threads(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert "--threads N" in capsys.readouterr().out


def test_a_scan_is_segmented_by_the_threads_that_were_asked_for_which_sleep_while_they_wait(
    tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    command = ("segment", ct_scan, "--bundle", tiny_bundle, "--device", "cpu", "--quiet")
    for options, variables in ((("--threads", "1"), {"SEMGAN_THREADS": "2"}), ((), {"SEMGAN_THREADS": "1"})):
        told, err = after(*command, *options, "--output", tmp_path / "label.nii.gz", **variables)
        assert told == [0, 1, "PASSIVE"], err


def test_scans_of_a_cohort_are_segmented_by_the_threads_that_were_asked_for(
    tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    command = ("segment", ct_scan.parent, "--cohort", "--bundle", tiny_bundle, "--device", "cpu", "--threads", "1")
    told, err = after(*command, "--output", tmp_path / "labels")
    assert told == [0, 1, "PASSIVE"], err


def test_nonsense_is_an_error_in_one_line_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["segment", str(tmp_path / "none.nii.gz"), "--output", str(tmp_path / "label.nii.gz")]
    assert main([*command, "--threads", "0"]) == 2
    assert "--threads: 0 is not a positive whole number" in capsys.readouterr().err
    monkeypatch.setenv("SEMGAN_THREADS", "all")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert err == "semgan: error: $SEMGAN_THREADS is 'all'; give a whole number from 1 on, or leave it out\n"


def test_info_tells_how_many_threads_compute_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = after("info", "--device", "cpu", SEMGAN_THREADS="1")
    assert told == [0, 1, "PASSIVE"]
    command = [sys.executable, "-m", "monai_semgan", "info", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "9"}
    environment.pop(VARIABLE, None)
    run = {"env": environment, "capture_output": True, "text": True, "cwd": REPOSITORY, "check": True}
    text = subprocess.run(command, **run).stdout  # type: ignore[call-overload]
    assert "threads: 1 ($OMP_NUM_THREADS); how they wait: as $GOMP_SPINCOUNT=9" in text
    facts = json.loads(subprocess.run([*command, "--json"], **run).stdout)  # type: ignore[call-overload]
    assert facts["processor"]["threads"] == 1 and facts["processor"]["threads_reason"] == "$OMP_NUM_THREADS"
    assert facts["processor"]["cores"] >= 1 and facts["processor"]["name"]
    assert facts["device"]["bfloat16_reason"].startswith("bfloat16" if facts["device"]["bfloat16"] else "float32")
    assert f"arithmetic: {facts['device']['bfloat16_reason']}\n" in text


def test_the_voxels_are_the_same_whatever_the_number_of_threads(
    tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    """In processes of their own: NumPy's threads too would change the last bit of a slice, and with it some voxels."""
    labels = []
    for count in ("1", "2"):
        output = tmp_path / f"label_{count}.nii.gz"
        command = (
            "segment",
            ct_scan,
            "--bundle",
            tiny_bundle,
            "--device",
            "cpu",
            "--quiet",
            "--maps",
            tmp_path / count,
        )
        told, err = after(*command, "--output", output, SEMGAN_THREADS=count)
        assert told[0] == 0, err
        labels.append(
            [
                np.asanyarray(nibabel.load(path).dataobj)
                for path in (output, *sorted((tmp_path / count).glob("*.nii.gz")))
            ]
        )
    assert len(labels[0]) > 2 and all(map(np.array_equal, *labels))
