"""What tests ask of a bundle that release 0.1 made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np

import monai_semgan as sg
from tests.fixtures_0_1.phantom import scan

HERE = Path(__file__).resolve().parent

MODES: dict[str, dict[str, int]] = {"preview": {}, "encoder": {}, "invert": {"steps": 2}}
"""Mode, and the options with which 0.1 was asked."""


def copy_bundle(folder: Path) -> Path:
    """Copy the bundle: the fixture itself is never changed."""
    shutil.copytree(HERE / "bundle", folder)
    return folder


def write_scan(path: Path) -> Path:
    """Write the scan as NIfTI."""
    image, _, affine = scan()
    nibabel.save(nibabel.Nifti1Image(image, affine), path)
    return path


def facts(label: np.ndarray) -> dict[str, object]:
    """Describe a label as `expected.json` does."""
    label = np.ascontiguousarray(label).astype(np.uint8)
    return {"sha256": hashlib.sha256(label.tobytes()).hexdigest(), "voxels": np.bincount(label.ravel()).tolist()}


def expected(mode: str) -> dict[str, object]:
    """Give what 0.1 found."""
    found: dict[str, object] = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))[mode]
    return found


def segmented(bundle: Path, path: Path, mode: str) -> dict[str, object]:
    """Give what this version finds, in the arithmetic of 0.1 on every processor."""
    return facts(sg.segment(path, sg.load_bundle(bundle, "cpu"), mode, mixed_precision=False, **MODES[mode]).label)


def run_with_monai(bundle: Path, scan: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Run the bundle as its readme tells."""
    files = ("--config_file", str(bundle / "configs" / "inference.json"), "--bundle_root", str(bundle))
    options = ("--dataset_dir", str(scan), "--output_dir", str(out), "--device", "cpu")
    command = [sys.executable, "-m", "monai.bundle", "run", *files, *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done
