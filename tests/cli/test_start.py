"""What a command imports: the start of Python and its libraries is most of the time of a short scan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LIST_MODULES = """
import json, sys
from monai_semgan.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""

HEAVY = ("monai", "ignite", "mlflow", "tensorboard", "matplotlib", "torch.distributed.fsdp", "scipy.stats", "SimpleITK")
"""Modules that a preview of a NIfTI file does not need; MONAI brings most of the others."""


def modules_after(*arguments: str | Path) -> set[str]:
    """Modules that a process of its own has imported at the end of a command that succeeded."""
    command = [sys.executable, "-c", LIST_MODULES, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    code, modules = json.loads(process.stdout.splitlines()[-1])
    assert code == 0, process.stderr
    return set(modules)


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert"])
def test_segmenting_needs_no_monai(mode: str, tiny_bundle: Path, ct_scan: Path, tmp_path: Path) -> None:
    output = tmp_path / "label.nii.gz"
    options = ("--mode", mode, "--bundle", tiny_bundle, "--device", "cpu", "--quiet", "--output", output)
    found = modules_after("segment", ct_scan, *options)
    assert output.exists() and "torch" in found
    assert not found.intersection(HEAVY)


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
