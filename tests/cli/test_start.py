"""What a command imports: the start of Python and its libraries is most of the time of a short scan."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.conftest import REPOSITORY

LIST_MODULES = """
import json, sys
from monai_semgan.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""

UNUSED = ("monai", "ignite", "mlflow", "tensorboard", "torch.distributed.fsdp", "torch._dynamo", "torch._inductor")
UNUSED = (*UNUSED, "torchvision", "sympy", "pandas", "scipy.stats", "SimpleITK", "skimage", "cv2")
"""Modules that no command needs which only computes and scores labels; MONAI brings most of the others."""

HEAVY = (*UNUSED, "matplotlib", "scipy.spatial", "scipy.optimize", "scipy.sparse", "scipy.interpolate", "highdicom")
HEAVY = (*HEAVY, "pydicom", "requests")
"""Modules that a segmentation of a NIfTI file does not need."""

OTHER_TASKS = ("training", "evaluation", "authoring", "jobs", "workflows", "cohort.workers", "outputs.report")
"""Packages of ours that one scan does not need."""


def modules_after(*arguments: str | Path) -> set[str]:
    """Modules that a process of its own has imported at the end of a command that succeeded."""
    command = [sys.executable, "-c", LIST_MODULES, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    code, modules = json.loads(process.stdout.splitlines()[-1])
    assert code == 0, process.stderr
    return set(modules)


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert", "refine"])
def test_segmenting_needs_no_monai(mode: str, tiny_bundle: Path, ct_scan: Path, tmp_path: Path) -> None:
    output = tmp_path / "label.nii.gz"
    options = ("--mode", mode, "--bundle", tiny_bundle, "--device", "cpu", "--quiet", "--output", output)
    found = modules_after("segment", ct_scan, *options)
    assert output.exists() and "torch" in found
    assert not found.intersection((*HEAVY, *(f"monai_semgan.{name}" for name in OTHER_TASKS)))


def test_segmenting_many_scans_needs_no_monai(tiny_bundle: Path, ct_scan: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    shutil.copy(ct_scan, tmp_path / "scans" / "one.nii.gz")
    options = ("--bundle", tiny_bundle, "--device", "cpu", "--quiet", "--output", tmp_path / "out")
    found = modules_after("segment", tmp_path / "scans", *options)
    assert (tmp_path / "out" / "one.nii.gz").exists()
    assert not found.intersection(HEAVY) - {"pydicom", "requests"}  # DICOM series are looked for


def test_scoring_label_files_needs_no_monai(ct_scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    label = tmp_path / "labels" / ct_scan.name
    label.parent.mkdir()
    scan = nibabel.load(ct_scan)
    nibabel.Nifti1Image((np.asarray(scan.dataobj) > 0).astype(np.uint8), scan.affine).to_filename(label)  # type: ignore
    entry = {"image": str(ct_scan), "label": str(label)}
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"labels": {"1": "liver"}, "test": [entry]}), encoding="utf-8")
    options = ("--predictions", label.parent, "--bundle", tiny_bundle, "--quiet", "--out", tmp_path / "scores")
    found = modules_after("evaluate", "--data", listed, *options)
    assert (tmp_path / "scores" / "scores.csv").exists()
    assert not found.intersection(UNUSED)


def test_help_needs_neither_torch_nor_numpy() -> None:
    assert not modules_after("--help").intersection((*HEAVY, "torch", "numpy", "nibabel"))


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys, monai_semgan; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert not set(process.stdout.split()).intersection((*HEAVY, "torch", "numpy", "nibabel", "tqdm"))


def test_monai_can_be_used_after_a_segmentation(tiny_bundle: Path, ct_scan: Path) -> None:
    code = """
import sys
import monai_semgan as sg

result = sg.segment(sys.argv[1], sg.load_bundle(sys.argv[2], "cpu"))
assert "monai" not in sys.modules
from monai_semgan.networks import ImageDiscriminator

discriminator = ImageDiscriminator(32, channels={4: 8, 8: 8, 16: 8, 32: 8})
from monai.bundle import ConfigParser
from monai.transforms import Compose
import monai

assert monai.__version__ and Compose([]) is not None
inferer = ConfigParser({"a": {"_target_": "monai_semgan.SliceInversionInferer"}}).get_parsed_content("a")
assert isinstance(inferer, monai.inferers.SliceInferer)
print(result.label.shape, type(discriminator).__name__)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(ct_scan), str(tiny_bundle)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("ImageDiscriminator\n")
