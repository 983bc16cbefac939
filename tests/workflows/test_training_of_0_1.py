"""Training configurations that release 0.1 wrote go on training, before and after `semgan bundle update`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_semgan.authoring.update import update_bundle
from monai_semgan.networks.weights import load_weights
from monai_semgan.slicing.model_settings import find_settings
from tests.fixtures_0_1.using import copy_bundle
from tests.training.phantoms import write_patients


def train_student(bundle: Path, data: Path) -> None:
    """Two steps of the student, as `monai.bundle run` does them."""
    changes: dict[str, Any] = {"bundle_root": str(bundle), "dataset_dir": str(data), "device": "$torch.device('cpu')"}
    changes |= {"max_epochs": 1, "epoch_length": 2, "settings#batch_size": 4, "settings#generated_fraction": 0.0}
    config = str(bundle / "configs" / "train_student.json")
    flow = ConfigWorkflow(config, workflow_type="train", logging_file=False, **changes)
    flow.initialize()
    flow.run()


def test_a_stage_is_trained_the_same_with_old_and_updated_configurations(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    old, new = (copy_bundle(tmp_path / name) for name in ("old", "new"))
    with pytest.warns(FutureWarning, match=r"StageTraining\(.*semgan bundle update"):
        train_student(old, data)
    assert {change.after for change in update_bundle(new)} >= {"settings#init", "settings#options", "settings#loop"}
    trainer = json.loads((new / "configs" / "train_student.json").read_text())["train"]["trainer"]
    assert "weights" not in trainer and trainer["settings"]["init"] == "@generator_weights"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="StageTraining|Preprocessing", category=FutureWarning)
        train_student(new, data)
    one, other = (load_weights(bundle / "runs" / "student" / "weights.pt") for bundle in (old, new))
    assert one and all(torch.equal(one[name], other[name]) for name in one)
    kept = find_settings(new / "runs")
    assert kept is not None and kept.preprocessing.num_classes == 4
    assert update_bundle(new) == []
