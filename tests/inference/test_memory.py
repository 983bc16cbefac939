"""A ceiling on the memory of `semgan segment`: 4 GB for 1,000 slices of 512 x 512, here the share of 150."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmarks.scale import LAUNCH
from monai_semgan.io.nifti import read_nifti
from monai_semgan.slicing.postprocessing import clean_label
from tests.phantoms import save_nifti

SLICES = 150
LIBRARIES_GB = 0.7
"""Python with torch (for the CPU), MONAI and what else a segmentation imports, whatever the scan."""

SHARE_GB = (4.0 - LIBRARIES_GB) * SLICES / 1000
IMPORTS = "import torch, monai.bundle, monai.inferers, monai_semgan.inference.segmentation"
IMPORTS_GB = 0.46
"""Of these alone with torch for the CPU; builds with CUDA take more."""


def peak_gb(command: list[str], folder: Path) -> float:
    """Most memory that a program takes, without settings of the allocator."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), environment.get("PYTHONPATH", "")])
    launch = [sys.executable, "-c", LAUNCH, *command]  # else the memory of these tests would count as the program's
    run = subprocess.run(launch, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True)
    code, _, _, peak = json.loads(run.stdout)
    assert code == 0
    return float(peak) / 2**20


@pytest.fixture(scope="module")
def limit_gb(tmp_path_factory: pytest.TempPathFactory) -> float:
    """What the libraries take here, and the share of the scan."""
    imports = peak_gb([sys.executable, "-c", IMPORTS], tmp_path_factory.getbasetemp())
    return LIBRARIES_GB + max(0.0, imports - IMPORTS_GB) + SHARE_GB


@pytest.fixture(scope="module")
def long_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A body full of noise, in which random weights find specks everywhere: the worst case for the clean-up."""
    rng = np.random.default_rng(0)
    array = np.full((512, 512, SLICES), -1000, dtype=np.int16, order="F")
    array[60:450, 120:400] = rng.integers(-100, 250, (390, 280, 1), dtype=np.int16)
    array[60:450, 120:400] += (np.arange(SLICES) % 50).astype(np.int16)
    return save_nifti(tmp_path_factory.mktemp("long") / "scan.nii", array, np.diag([-0.75, -0.75, 1.0, 1.0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["-o", "o.nii.gz"], ["-o", "o.mha"], ["-o", "o.nii.gz", "--maps", "maps"]],
    ids=["nifti", "mha", "maps"],
)
def test_memory_stays_below_its_share(
    options: list[str], long_scan: Path, tiny_bundle: Path, tmp_path: Path, limit_gb: float
) -> None:
    command = [sys.executable, "-m", "monai_semgan", "segment", str(long_scan), "--bundle", str(tiny_bundle)]
    assert peak_gb([*command, "--device", "cpu", "--quiet", *options], tmp_path) < limit_gb
    assert (tmp_path / options[1]).is_file()


def test_a_label_that_is_restored_and_cleaned_takes_few_copies() -> None:
    import tracemalloc

    label = np.random.default_rng(0).integers(0, 2, (120, 120, 120)).astype(np.uint8)
    tracemalloc.start()
    clean_label(label, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * label.nbytes  # pieces are counted in 32 bits, the rest are single bytes


def test_a_compressed_scan_is_not_read_as_float(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)), path)
    assert read_nifti(path).array.dtype == np.int16
