"""Weights as a training run leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_semgan.networks.weights import load_weights, save_weights, with_prefix
from monai_semgan.networks.weights import part as part_of


@pytest.fixture
def run_folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle's weights as a training run leaves them."""
    weights = load_weights(tiny_bundle / "models" / "model.pt")
    for part, stage in (("generator", "gan"), ("encoder", "encoder"), ("student", "student")):
        save_weights(tmp_path / "run" / stage / "weights.pt", with_prefix(part_of(weights, part), part))
        record = {
            "stage": stage,
            "step": 7,
            "metrics": {"dice": 0.5},
            "settings": {"size": 32, "pixel_mm": 11.0},
            "network": {"resample_filter": [1, 3, 3, 1]},
            "data": {"labelled": ["Mrs Smith"], "slices": 3},
        }
        (tmp_path / "run" / stage / "record.json").write_text(json.dumps(record))
    return tmp_path / "run"
