"""A tiny bundle whose student finds little, and scans of the phantom to teach it a structure by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from monai_semgan.networks.weights import load_weights, save_weights
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

TAUGHT = 4
"""Id of the phantom's structure that is taught; the spleen, under another name."""


def quiet(bundle: Path, folder: Path) -> Path:
    """A copy of a bundle that calls nearly everything background, and three other things by random weights."""
    shutil.copytree(bundle, folder)
    path = folder / "configs" / "inference.json"
    content = json.loads(path.read_text())
    content["domain"] = None
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    weights = folder / "models" / "model.pt"
    state = load_weights(weights)
    state["student.model.2.1.conv.unit0.conv.bias"][0] += 2.0
    save_weights(weights, state)
    return folder


def teach(folder: Path, count: int, ids: dict[int, int] | None = None) -> Path:
    """A folder with so many scans of the phantom, each with noise of its own, and labels beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        affine, shape = grid((8.0, 8.0, 12.0), codes=("LAS", "PSR", "RPI")[number % 3])
        save_nifti(folder / f"scan{number}.nii.gz", patient(affine, shape, seed=number).array, affine)
        label = labels_at(points_of(affine, shape))
        table = np.zeros(256, np.uint8)
        for one, other in (ids or {TAUGHT: TAUGHT}).items():
            table[one] = other
        save_nifti(folder / f"scan{number}_label.nii.gz", table[label], affine)
    return folder
