"""Label, train, label more, train again with a bundle's training, whose default is to go on where it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import training_transforms
from monai_semgan.workflows.training import StageTraining, VolumeDataset, list_volumes
from tests.training.phantoms import write_patients

SETTINGS: dict[str, Any] = {
    "batch_size": 4,
    "channels": [4, 8],
    "contrast": False,
    "generated_fraction": 0.0,
    "device": "cpu",
    "tensorboard": False,
    "mixed_precision": False,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three training patients, the last one without label."""
    return write_patients(tmp_path / "data").parent


def training(folder: Path, out: Path, **settings: Any) -> StageTraining:
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    transforms = training_transforms(preprocessing)
    sections = [
        VolumeDataset(list_volumes(folder, section), transforms, preprocessing, folder / "cache", section)
        for section in ("training", "validation")
    ]
    return StageTraining("student", sections[0], out, 1, validation=sections[1], settings={**SETTINGS, **settings})


def label_the_third(folder: Path) -> None:
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    shutil.copyfile(folder / "label_1.nii.gz", folder / "label_2.nii.gz")
    content["training"][2]["label"] = "label_2.nii.gz"
    path.write_text(json.dumps(content))


def test_training_again_after_labelling_is_told_how_and_learns_from_the_new_label(folder: Path, tmp_path: Path) -> None:
    first = training(folder, tmp_path / "out").run()
    assert first.finished and first.steps == 6
    label_the_third(folder)
    with pytest.raises(
        SemganError, match=r"without a label of p2; start another .*output_dir.* --from RUN \(from_run\)"
    ):
        training(folder, tmp_path / "out").run()
    second = training(folder, tmp_path / "new", from_run=str(tmp_path / "out")).run()
    assert second.finished and second.steps == 6
    data = json.loads((tmp_path / "new" / "data.json").read_text())
    assert data["labelled"] == ["p0", "p1", "p2"] and data["ancestors"][0]["labelled"] == ["p0", "p1"]


def test_training_again_with_more_labels_on_a_finished_run_is_no_success_of_no_steps(
    folder: Path, tmp_path: Path
) -> None:
    training(folder, tmp_path / "out").run()
    label_the_third(folder)
    with pytest.raises(SemganError, match="is finished, it would not learn from the new labels of p2"):
        training(folder, tmp_path / "out", more_labels=True).run()


def test_training_again_with_another_list_is_refused(folder: Path, tmp_path: Path) -> None:
    training(folder, tmp_path / "out").run()
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    content["training"][0], content["validation"][0] = content["validation"][0], content["training"][0]
    path.write_text(json.dumps(content))
    with pytest.raises(SemganError, match='patient p0 was in "training" and is in "validation" now'):
        training(folder, tmp_path / "out").run()
