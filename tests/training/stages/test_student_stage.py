"""The student learns, resumes exactly, and survives being killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import JointGenerator
from monai_semgan.networks.weights import load_weights, save_weights, with_prefix
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import pack_slices
from monai_semgan.utils.progress import NullProgress
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0}


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator = JointGenerator(32, 16, 1, 3, {4: 16, 8: 16, 16: 8, 32: 8}, mapping_layers=2)
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_weights(path, with_prefix(generator.state_dict(), "generator"))
    return path


def test_the_student_learns_to_segment_phantoms(datalist: Path, tmp_path: Path) -> None:
    (result,) = train("student", datalist, tmp_path, steps=250, learning_rate=5e-3, ema_images=40, **STUDENT)
    assert result.finished and result.steps == 250
    assert result.metrics["dice"] > 0.7


def test_a_run_leaves_weights_record_sheet_and_combined_model(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=3, **{**STUDENT, "tensorboard": True, "log_every": 1})
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["labelled"] == ["p0", "p1"] and record["data"]["validation"] == ["p3"]
    assert record["images"] == 12 and record["step"] == 3 and record["finished"]
    assert record["versions"]["torch"] == torch.__version__
    assert str(datalist.parent) not in json.dumps(record), "a record must not tell where the data lie"
    assert list((tmp_path / "student" / "sheets").glob("*.png"))
    assert list((tmp_path / "student" / "tb").iterdir())
    model = load_weights(tmp_path / "model.pt")
    assert model.keys() == load_weights(tmp_path / "student" / "weights.pt").keys()
    assert all(name.startswith("student.") for name in model)


def test_resumed_training_equals_uninterrupted_training(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    settings = {**STUDENT, "generated_fraction": 0.5, "init": generator_file, "pool_chunk": 4, "pool_refresh": 3}
    settings["pool_chunks"] = 2
    train("student", datalist, tmp_path / "whole", steps=12, **settings)

    class StopAfterSeven:
        def __init__(self) -> None:
            self.calls = 0

        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            pass

        def should_stop(self) -> bool:
            self.calls += 1
            return self.calls >= 7

    (first,) = train("student", datalist, tmp_path / "parts", steps=12, progress=StopAfterSeven(), **settings)
    assert first.cancelled and not first.finished and 0 < first.steps < 12
    (second,) = train("student", datalist, tmp_path / "parts", steps=12, resume=True, **settings)
    assert second.finished and second.steps == 12
    whole, parts = (torch.load(tmp_path / d / "student" / "checkpoint.pt") for d in ("whole", "parts"))
    for kind in ("networks", "averages"):
        for name, tensor in whole["stage"][kind]["student"].items():
            assert torch.equal(tensor, parts["stage"][kind]["student"][name]), name


def test_a_second_run_in_the_same_folder_needs_resume(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    with pytest.raises(SemganError, match="--resume"):
        train("student", datalist, tmp_path, steps=1, **STUDENT)


def test_resuming_with_other_settings_names_the_setting(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    with pytest.raises(SemganError, match="seed 0, not 5"):
        train("student", datalist, tmp_path, steps=2, resume=True, seed=5, **STUDENT)


def test_a_finished_run_resumed_does_nothing(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=2, **STUDENT)
    before = load_weights(tmp_path / "student" / "weights.pt")
    (result,) = train("student", datalist, tmp_path, steps=2, resume=True, **STUDENT)
    after = load_weights(tmp_path / "student" / "weights.pt")
    assert result.finished and all(torch.equal(before[k], after[k]) for k in before)


def test_a_run_goes_on_from_half_precision_weights_when_the_checkpoint_is_lost(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=4, **STUDENT)
    (tmp_path / "student" / "checkpoint.pt").unlink()
    (result,) = train("student", datalist, tmp_path, steps=6, resume=True, **STUDENT)
    assert result.steps == 6


def test_labels_of_more_volumes_than_asked_for_are_not_used(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=1, labelled=1, **STUDENT)
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["labelled"] == ["p0"]


def test_packed_slices_train_the_same_student_as_the_volumes(datalist: Path, tmp_path: Path) -> None:
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    packed = pack_slices(datalist, tmp_path / "packed", preprocessing, NullProgress())
    for source, out in ((datalist, "volumes"), (packed, "slices")):
        train("student", source, tmp_path / out, steps=3, labelled=1, **STUDENT)
    volumes, slices = (load_weights(tmp_path / out / "model.pt") for out in ("volumes", "slices"))
    assert all(torch.equal(volumes[name], slices[name]) for name in volumes)
    with pytest.raises(SemganError, match="holds slices with pixel_mm 10.0, not 5.0"):
        train("student", packed, tmp_path / "other", steps=1, **{**STUDENT, "pixel_mm": 5.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labelled": 0}, "labelled"),
        ({"wrong_setting": 1}, "unknown setting"),
        ({"learning_rate": "high"}, "cannot be 'high'"),
        ({"contrast": 1}, "contrast"),
        ({"steps": 0}, "too few"),
    ],
)
def test_mistakes_are_told_in_one_line(datalist: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SemganError, match=words) as caught:
        train("student", datalist, tmp_path, **{"steps": 1, **STUDENT, **change})
    assert "\n" not in str(caught.value)


def test_a_generator_of_other_classes_is_refused(datalist: Path, tmp_path: Path, generator_file: Path) -> None:
    with pytest.raises(SemganError, match="3 classes"):
        train("student", datalist, tmp_path, steps=1, init=generator_file, **{**STUDENT, "num_classes": 2})
