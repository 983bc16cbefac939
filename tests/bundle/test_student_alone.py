"""A bundle of a student alone gives previews, and says in one line what it cannot do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.modes import MODES, modes_of
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.inference.synthesis import sample_patient, sample_slices
from monai_semgan.inversion.search import VolumeInverter
from monai_semgan.networks import InversionSegmenter, build_student


def test_its_preview_is_that_of_the_whole_model(tiny_bundle: Path, student_bundle: Path, ct_scan: Path) -> None:
    whole, alone = (segment(ct_scan, folder).label for folder in (tiny_bundle, student_bundle))
    assert np.array_equal(whole, alone)
    assert load_bundle(tiny_bundle).modes == MODES and load_bundle(student_bundle).modes == ("preview",)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "preview"])
def test_other_modes_are_refused_before_the_scan_is_read(mode: str, student_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=f"mode {mode} needs generator and encoder, .* use mode preview"):
        segment(tmp_path / "no_scan.nii.gz", student_bundle, mode)


def test_whatever_needs_a_generator_is_refused_in_one_line(
    student_bundle: Path, ct_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = load_bundle(student_bundle, "cpu")
    for work in (
        lambda: sample_slices(bundle, 1),
        lambda: sample_patient(bundle),
        lambda: VolumeInverter(bundle.network),
    ):
        with pytest.raises(SemganError, match="student alone"):
            work()
    model, out = ["--bundle", str(student_bundle), "--device", "cpu"], str(tmp_path / "out")
    for command in (
        ["sample", "--out", out],
        ["selfcheck", "--out", out],
        ["segment", str(ct_scan), "-o", str(tmp_path / "label.nii.gz"), "--mode", "invert"],
    ):
        assert main([*command, *model]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert "student alone" in error[-1] and not any("Traceback" in line for line in error)
    assert not (tmp_path / "label.nii.gz").exists()


def test_it_checks_an_installation_with_a_scan_and_writes_a_report(
    student_bundle: Path, ct_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--bundle", str(student_bundle), "--device", "cpu", "--quiet"]
    assert main(["selfcheck", str(ct_scan), "--out", str(tmp_path / "check"), *model]) == 0
    report = ["--report", str(tmp_path / "report"), "--maps", str(tmp_path / "maps")]
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / "label.nii.gz"), *report, *model]) == 0
    assert (tmp_path / "report" / "report.html").exists()
    capsys.readouterr()
    assert main(["info", *model]) == 0
    assert "holds a student alone: mode preview only" in capsys.readouterr().out
    assert main(["info", "--json", *model]) == 0
    assert json.loads(capsys.readouterr().out)["modes"] == ["preview"]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "code"), [("preview", 0), ("refine", 1)])
def test_monai_runs_its_preview_and_says_once_that_there_is_nothing_else(
    mode: str, code: int, student_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("a", "b"):
        shutil.copy(ct_scan, scans / f"{name}.nii.gz")
    command = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(student_bundle)]
    command += ["--config_file", str(student_bundle / "configs" / "inference.json"), "--dataset_dir", str(scans)]
    command += ["--output_dir", str(tmp_path / "out"), "--displayable_configs#mode", mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code
    assert len(list(tmp_path.glob("out/*_seg.nii.gz"))) == (0 if code else 2)
    assert (done.stderr + done.stdout).count("mode refine needs generator and encoder") == code


def test_the_configuration_tells_what_a_bundle_can_do() -> None:
    assert modes_of({"network_def": {"generator": None, "encoder": None}}) == ("preview",)
    for other in ({"network_def": {"generator": "@generator_def"}}, {}, {"network_def": "$build()"}):
        assert modes_of(other) == MODES


def test_half_a_generator_is_no_network() -> None:
    student = build_student(1, 3, (4, 4))
    with pytest.raises(SemganError):
        InversionSegmenter(None, None, student, "encoder")
    network = torch.jit.script(InversionSegmenter(None, None, student))
    image = torch.zeros(1, 1, 16, 16)
    assert torch.equal(network(image), student(image))
