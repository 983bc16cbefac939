"""A tiny bundle whose student finds little, and scans of the phantom to teach it a structure by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from monai_semgan.bundle.load import load_bundle
from monai_semgan.learning.added_bundle import write_added_bundle
from monai_semgan.learning.head_training import new_head
from monai_semgan.learning.new_structures import NewStructure
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


def with_random_head(bundle: Path, made: Path, *names: str) -> Path:
    """A bundle with structures that a head of random weights finds here and there, as if it had learnt them."""
    old = load_bundle(bundle, "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = new_head(old.network, len(names))
        torch.nn.init.normal_(head.last.weight, std=4.0)
        torch.nn.init.zeros_(head.last.bias)  # type: ignore[arg-type]
    return write_added_bundle(old, made, head, [NewStructure(name) for name in names], {})
