"""Tiny patients for training tests: an elliptic body with two bright organs, written as NIfTI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from monai_semgan.training import run
from monai_semgan.training.engine.loop import StageResult
from monai_semgan.training.training_settings import TrainSettings

#: Small networks and a coarse grid, so that a training step takes milliseconds.
TINY: dict[str, Any] = {
    "size": 32,
    "pixel_mm": 10.0,
    "num_classes": 3,
    "batch_size": 4,
    "device": "cpu",
    "tensorboard": False,
    "validations": 1,
    "mixed_precision": False,
}


def phantom(seed: int, slices: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels (64, 64, slices) of one patient."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(np.arange(64), np.arange(64), np.arange(slices), indexing="ij")
    hu = np.full(i.shape, -1000.0)
    hu[((i - 32) / 28) ** 2 + ((j - 32) / 22) ** 2 < 1] = 20.0
    label = np.zeros(i.shape, dtype=np.uint8)
    x, y = 20 + rng.integers(-2, 3), 36 + rng.integers(-2, 3)
    inside = k >= 2
    label[(((i - x) / 9) ** 2 + ((j - y) / 8) ** 2 < 1) & inside] = 1
    label[(((i - 46) / 5) ** 2 + ((j - 24) / 5) ** 2 < 1) & inside] = 2
    hu[label == 1], hu[label == 2] = 110.0, 190.0
    return hu + rng.normal(0, 8, hu.shape), label


def write_patients(folder: Path, training: int = 3, unlabelled: int = 1, validation: int = 1) -> Path:
    """Write patients and a data list; the last `unlabelled` training patients have no label."""
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for number in range(training + validation):
        hu, label = phantom(number)
        affine = np.diag([-5.0, 5.0, 5.0, 1.0])
        entry = {"image": f"image_{number}.nii.gz", "patient": f"p{number}", "modality": "CT"}
        nibabel.save(nibabel.Nifti1Image(hu.astype(np.float32), affine), folder / entry["image"])
        if number < training - unlabelled or number >= training:
            entry["label"] = f"label_{number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(label, affine), folder / entry["label"])
        content["training" if number < training else "validation"].append(entry)
    path = folder / "datalist.json"
    path.write_text(json.dumps(content))
    return path


def train(stage: str, datalist: Path, out: Path, progress: Any = None, **values: Any) -> list[StageResult]:
    """Train with settings of the run and of the stages side by side."""
    return run.train(stage, datalist, out, TrainSettings.gather(values), progress=progress)
