"""A run knows its settings and its patients: they travel with the weights, and a contradiction is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_weights
from monai_semgan.slicing.model_settings import ModelSettings, find_settings
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training import run
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.training_settings import TrainSettings
from tests.training.phantoms import TINY, train

STUDENT: dict[str, Any] = {**TINY, "channels": (8, 16), "generated_fraction": 0.0}
OPEN = {name: value for name, value in STUDENT.items() if name not in ("size", "pixel_mm", "num_classes")}
"""The same without what a settings file tells."""


@pytest.fixture
def listed(datalist: Path, tmp_path: Path) -> Path:
    """A copy of the data list that a test may change."""
    shutil.copytree(datalist.parent, tmp_path / "data")
    return tmp_path / "data" / datalist.name


def change(listed: Path, **sections: Any) -> Path:
    listed.write_text(json.dumps({**json.loads(listed.read_text()), **sections}))
    return listed


def entries(listed: Path) -> list[dict[str, str]]:
    content = json.loads(listed.read_text())
    found: list[dict[str, str]] = [*content["training"], *content["validation"]]
    return found


def step_of(out: Path) -> int:
    return int(json.loads((out / "student" / "record.json").read_text())["step"])


def test_a_run_keeps_what_it_was_trained_with(listed: Path, tmp_path: Path) -> None:
    change(listed, labels={"1": "right kidney", "2": "left_kidney"})
    train("student", listed, tmp_path / "run", steps=1, window=(-50.0, 250.0), **{**STUDENT, "num_classes": None})
    kept = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert kept == {
        "schema": 1,
        "modality": ["CT"],
        "size": 32,
        "pixel_mm": 10.0,
        "window": [-50.0, 250.0],
        "percentiles": [0.5, 99.5],
        "num_classes": 3,
        "label_ids": [1, 2],
        "field_of_view": "body",
        "plane": "axial",
        "image_channels": 1,
        "labels": {"1": "right kidney", "2": "left_kidney"},
        "paired_labels": [[1, 2]],
    }


def test_a_resumed_run_takes_its_own_settings_where_none_are_given(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, window=(-50.0, 250.0), **STUDENT)
    (result,) = train("student", listed, tmp_path / "run", steps=2, resume=True, **OPEN)
    assert result.steps == 2


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"window": (0.0, 100.0)}, r"trained with window \[-125.0, 275.0\], not \[0.0, 100.0\]"),
        ({"percentiles": (1.0, 99.0)}, "trained with percentiles"),
        ({"size": 64}, "trained with size 32, not 64"),
        ({"labels": {1: "liver"}, "num_classes": None}, "trained with num_classes 3, not 2"),
        ({"labels": {2: "spleen", 1: "liver"}}, r"trained with label_ids \[1, 2\], not \[2, 1\]"),
        ({"channels": (8, 8)}, r"was started with channels \[8, 16\], not \[8, 8\]"),
    ],
)
def test_other_settings_are_refused_by_name(datalist: Path, tmp_path: Path, other: dict[str, Any], words: str) -> None:
    train("student", datalist, tmp_path, steps=1, **STUDENT)
    before = load_weights(tmp_path / "student" / "weights.pt")
    with pytest.raises(SemganError, match=words) as caught:
        train("student", datalist, tmp_path, steps=2, resume=True, **{**STUDENT, **other})
    assert "--out" in str(caught.value) and "\n" not in str(caught.value)
    after = load_weights(tmp_path / "student" / "weights.pt")
    assert all(torch.equal(before[name], after[name]) for name in before) and step_of(tmp_path) == 1


def test_labels_called_otherwise_than_before_are_refused(listed: Path, tmp_path: Path) -> None:
    change(listed, labels={"1": "liver", "2": "spleen"})
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    change(listed, labels={"1": "spleen", "2": "liver"})
    with pytest.raises(SemganError, match="trained with labels liver, spleen, not spleen, liver"):
        train("student", listed, tmp_path / "run", steps=2, resume=True, **STUDENT)


def exchanged(items: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"training": [items[3], items[1], items[2]], "validation": [items[0]]}


def without_one(items: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"training": [items[0], items[2]]}


def one_more(items: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"training": items[:3], "validation": [], "test": [items[3]]}


def label_gone(items: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    unlabelled = {name: value for name, value in items[1].items() if name != "label"}
    return {"training": [items[0], unlabelled, items[2]]}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (exchanged, 'patient p0 was in "training" and is in "validation" now'),
        (without_one, 'patient p1 of "training" is no longer in the data list'),
        (one_more, 'patient p3 was in "validation" and is in "test" now'),
        (label_gone, "was started with a label of p1, who has none now"),
    ],
)
@pytest.mark.parametrize("more_labels", [False, True])
def test_other_patients_are_refused_by_name(
    listed: Path, tmp_path: Path, edit: Any, words: str, more_labels: bool
) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    change(listed, **edit(entries(listed)))
    with pytest.raises(SemganError, match=words):
        train("student", listed, tmp_path / "run", steps=2, resume=True, more_labels=more_labels, **STUDENT)
    assert step_of(tmp_path / "run") == 1


def test_another_stage_of_the_run_is_not_scored_on_patients_of_the_first(listed: Path, tmp_path: Path) -> None:
    gan = {"channels": {4: 8, 8: 8, 16: 8, 32: 8}, "latent_dim": 8, "joint_channels": 8, "quality_images": 8}
    train("gan", listed, tmp_path / "run", steps=1, **TINY, **gan)
    change(listed, **exchanged(entries(listed)))
    with pytest.raises(SemganError, match='p0 was in "training" and is in "validation" now, since the gan was trained'):
        train("student", listed, tmp_path / "run", steps=1, **STUDENT)


def test_added_labels_are_refused_unless_they_are_asked_for(listed: Path, tmp_path: Path) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    content = json.loads(listed.read_text())
    shutil.copyfile(listed.parent / "label_1.nii.gz", listed.parent / "label_2.nii.gz")
    content["training"][2]["label"] = "label_2.nii.gz"
    change(listed, **content)
    more = {**STUDENT, "resume": True}
    with pytest.raises(SemganError, match="was started without a label of p2; start another --out .* --more-labels"):
        train("student", listed, tmp_path / "run", steps=2, **more)
    with pytest.raises(SemganError, match="is finished, it would not learn from the new labels of p2"):
        train("student", listed, tmp_path / "run", steps=1, more_labels=True, **more)
    (result,) = train("student", listed, tmp_path / "run", steps=2, more_labels=True, **more)
    assert result.steps == 2
    data = json.loads((tmp_path / "run" / "student" / "record.json").read_text())["data"]
    assert data["labelled"] == ["p0", "p1", "p2"]


def test_a_run_of_0_1_without_a_settings_file_goes_on(
    listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("student", listed, tmp_path / "run", steps=1, **STUDENT)
    (tmp_path / "run" / "settings.json").unlink()
    state = torch.load(tmp_path / "run" / "student" / "checkpoint.pt")
    record = json.loads((tmp_path / "run" / "student" / "record.json").read_text())
    for settings in (state["settings"], record["settings"]):
        for name in ("window", "percentiles", "field_of_view", "label_ids", "patients"):
            del settings[name]
    del record["data"]["sections"]
    torch.save(state, tmp_path / "run" / "student" / "checkpoint.pt")
    (tmp_path / "run" / "student" / "record.json").write_text(json.dumps(record))
    (result,) = train("student", listed, tmp_path / "run", steps=2, resume=True, **OPEN)
    assert result.steps == 2 and "no settings.json, as in runs of 0.1" in caplog.text
    assert find_settings(tmp_path / "run") == ModelSettings(
        Preprocessing(size=32, pixel_mm=10.0, num_classes=3), modality=("CT",)
    )
    change(listed, **exchanged(entries(listed)))
    with pytest.raises(SemganError, match="patient p0 was"):
        train("student", listed, tmp_path / "run", steps=3, resume=True, **OPEN)


def test_labels_beyond_the_classes_are_refused_unless_somebody_chose_the_classes(
    listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(listed, labels={"1": "liver"})
    with pytest.raises(
        SemganError,
        match=r"hold ids beyond the 2 classes: 2 \(414 voxels in .* 2 more files\); give --classes 3 .* --labels",
    ):
        train("student", listed, tmp_path / "run", steps=1, **{**STUDENT, "num_classes": None})
    for number, chosen in enumerate(({"num_classes": 2}, {"labels": {1: "liver"}}, {"labels": ["Liver"]})):
        caplog.clear()
        train("student", listed, tmp_path / f"run_{number}", steps=1, **{**STUDENT, "num_classes": None, **chosen})
        assert "label ids that become background: 2" in caplog.text
        kept = find_settings(tmp_path / f"run_{number}")
        assert kept is not None and kept.label_ids == (1,) and kept.labels[1].lower() == "liver"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ["heart"]}, "the data list has no label 'heart'; it names liver, spleen"),
        ({"labels": {1: "spleen"}}, "label 1 is spleen in --labels and liver in the data list"),
        ({"labels": {0: "liver"}}, "does not tell a name for every id"),
        ({"labels": ["liver", "Liver"]}, "does not tell a name for every id"),
        ({"labels": ["liver"], "num_classes": 5}, "1 labels and the background are 2 classes, not 5"),
        ({"batch_size": 0}, "batch_size cannot be 0; give a whole number of at least 1"),
        ({"steps": 1.5}, "steps cannot be 1.5; give a whole number"),
        ({"size": -32}, "size cannot be -32"),
        ({"window": (100.0,)}, "window cannot be"),
        ({"learning_rate": 0.0}, "learning_rate cannot be 0.0; give a positive number"),
        ({"pool_chunk": 0}, "pool_chunk cannot be 0"),
        ({"slot": "soon"}, "'soon' is no duration"),
        ({"stepz": 3}, "unknown setting 'stepz'; known are batch_size"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(listed: Path, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    change(listed, labels={"1": "liver", "2": "spleen"})
    with pytest.raises(SemganError) as caught:
        train("student", listed, tmp_path / "run", **{**STUDENT, "num_classes": None, "steps": 1, **options})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_keywords_of_0_1_still_train_with_a_warning(datalist: Path, tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match=r"give settings=TrainSettings\(steps=...\)"):
        run.train("student", datalist, tmp_path / "old", steps=2, **STUDENT)
    train("student", datalist, tmp_path / "new", steps=2, **STUDENT)
    old, new = (load_weights(tmp_path / name / "model.pt") for name in ("old", "new"))
    assert all(torch.equal(old[name], new[name]) for name in new)
    with pytest.raises(SemganError, match="unknown argument 'steps'"):
        run.train("student", datalist, tmp_path / "old", TrainSettings(), steps=3)


def test_a_second_process_in_the_folder_is_told_so(datalist: Path, tmp_path: Path) -> None:
    held, told = locked_run(tmp_path, Workers(torch.device("cpu"))), "another process trains in this folder"
    with held, pytest.raises(SemganError, match=told):
        train("student", datalist, tmp_path, steps=1, **STUDENT)
    (result,) = train("student", datalist, tmp_path, steps=1, **STUDENT)
    assert result.finished


def test_a_training_that_diverges_stops_and_keeps_the_last_good_weights(datalist: Path, tmp_path: Path) -> None:
    train("student", datalist, tmp_path, steps=2, **STUDENT)
    state = torch.load(tmp_path / "student" / "checkpoint.pt")
    state["stage"]["optimisers"]["student"]["state"][0]["exp_avg"].fill_(3e38)
    torch.save(state, tmp_path / "student" / "checkpoint.pt")
    with pytest.raises(SemganError, match="diverged: weights of the student .* the weights of step 2 are kept"):
        train("student", datalist, tmp_path, steps=4, resume=True, **STUDENT)
    assert step_of(tmp_path) == 2
    assert all(tensor.isfinite().all() for tensor in load_weights(tmp_path / "model.pt").values())


def test_the_command_line_chooses_window_and_labels(
    datalist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "student", "--data", str(datalist), "--out", str(tmp_path / "run"), "--steps", "1", "--quiet"]
    command += ["--size", "32", "--pixel-mm", "10", "--batch-size", "4", "--device", "cpu", "--set", "channels=[8,16]"]
    assert main([*command, "--window", "-50", "250", "--labels", "2:liver"]) == 0, capsys.readouterr()
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.labels == {1: "liver"} and kept.label_ids == (2,)
    assert kept.preprocessing.window == (-50.0, 250.0)
    assert main([*command, "--resume", "--window", "0", "250"]) == 2
    assert "was trained with window [-50.0, 250.0], not [0.0, 250.0]" in capsys.readouterr().err


def test_a_settings_file_of_a_newer_version_or_broken_is_refused(tmp_path: Path) -> None:
    good = ModelSettings(Preprocessing(size=32)).to_dict()
    for content, words in (
        ({**good, "schema": 3}, r"made by a newer version \(schema 3, this one knows 2\); update monai_semgan"),
        ({**good, "schema": None}, "tells no schema"),
        ({**good, "colour": 1}, "unknown setting 'colour'"),
        ({**good, "labels": {"9": "liver"}}, "label 9"),
        ({**good, "size": "big"}, "size cannot be 'big'"),
        ([], "no settings of a model"),
    ):
        (tmp_path / "settings.json").write_text(json.dumps(content))
        with pytest.raises(SemganError, match=words) as caught:
            find_settings(tmp_path)
        assert caught.value.path == tmp_path / "settings.json"
