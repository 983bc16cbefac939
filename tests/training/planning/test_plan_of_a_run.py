"""A plan on disk: made from real files, kept, compared, and taken over by the training."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.slicing.model_settings import find_settings
from monai_semgan.training.engine.run_files import PLAN_PAGE
from monai_semgan.training.planning import plan_making
from monai_semgan.training.planning.data_plan import find_plan
from monai_semgan.training.planning.plan_use import plan_training
from monai_semgan.training.run_plan import PLAN, keep_settings
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.progress import NullProgress
from tests.skin_lesions import write_isic
from tests.training.phantoms import TINY, train

FAST: dict[str, Any] = {
    **{name: value for name, value in TINY.items() if name not in ("size", "pixel_mm", "num_classes", "batch_size")},
    "channels": (8, 16),
    "generated_fraction": 0.0,
    "steps": 1,
}
"""A student that takes its slices, classes and batch from the plan."""


@pytest.fixture
def listed(datalist: Path, tmp_path: Path) -> Path:
    """A copy of the data list, with names, that a test may change."""
    shutil.copytree(datalist.parent, tmp_path / "data")
    path = tmp_path / "data" / datalist.name
    return change(path, labels={"1": "right kidney", "2": "left kidney"})


def change(listed: Path, **sections: Any) -> Path:
    listed.write_text(json.dumps({**json.loads(listed.read_text()), **sections}))
    return listed


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_plan_writes_settings_reasons_and_a_page(listed: Path, tmp_path: Path) -> None:
    plan, made = plan_training(listed, tmp_path / "run")
    assert made and files_in(tmp_path / "run") == {"settings.json", PLAN, PLAN_PAGE, "cache"}
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.preprocessing.size == plan.value("size") == 64
    assert kept.labels == {1: "right kidney", 2: "left kidney"} and kept.modality == ("CT",)
    assert all(decision.reason.endswith(".") for decision in plan.decisions)


def test_the_page_shows_slices_classes_and_scans_and_needs_no_network(listed: Path, tmp_path: Path) -> None:
    change(listed, labels={"1": "<b>tumour</b>", "2": "left kidney"})
    plan_training(listed, tmp_path / "run")
    page = (tmp_path / "run" / PLAN_PAGE).read_text()
    assert page.count("data:image/png;base64,") == 16 and "64033007 Kidney, left" in page
    assert "&lt;b&gt;tumour" in page and "<b>tumour" not in page
    assert "http" not in page and str(tmp_path) not in page and "<script" not in page


def test_what_is_read_back_is_the_plan(listed: Path, tmp_path: Path) -> None:
    plan, _ = plan_training(listed, tmp_path / "run")
    again, made = plan_training(listed, tmp_path / "run")
    assert not made
    assert (again.shares, again.batch_sizes, again.doubts) == (plan.shares, plan.batch_sizes, plan.doubts)
    assert [one.to_dict() for one in again.scans] == [one.to_dict() for one in plan.scans]
    assert again.classes == plan.classes


def test_all_stages_for_labels_that_know_some_classes_are_the_student(listed: Path, tmp_path: Path) -> None:
    training, known = json.loads(listed.read_text())["training"], {"labelled": ["left kidney"]}
    change(listed, training=[{**entry, **known} if "label" in entry else entry for entry in training])
    plan, _ = plan_training(listed, tmp_path / "run")
    assert any("with some classes only" in decision.reason for decision in plan.decisions)
    own = {name: value for name, value in FAST.items() if name != "channels"}
    results = train("all", listed, tmp_path / "run", **own, student_channels=(8, 16))
    assert [result.stage for result in results] == ["student"]


def test_choices_replace_decisions_and_are_recorded_as_such(listed: Path, tmp_path: Path) -> None:
    chosen = TrainSettings(size=32, window=(0.0, 200.0), labels=["left kidney"])
    plan, _ = plan_training(listed, tmp_path / "run", chosen, modality="MR")
    assert {one.name for one in plan.decisions if one.chosen} == {"size", "window", "labels", "modality"}
    kept = find_settings(tmp_path / "run")
    assert kept is not None and (kept.preprocessing.size, kept.preprocessing.window) == (32, (0.0, 200.0))
    assert kept.labels == {1: "left kidney"} and kept.label_ids == (2,)
    assert kept.preprocessing.pixel_mm == plan.value("pixel_mm")


def test_a_modality_that_is_given_counts_where_the_list_tells_none(listed: Path, tmp_path: Path) -> None:
    content = json.loads(listed.read_text())
    for entry in (*content["training"], *content["validation"]):
        del entry["modality"]
    listed.write_text(json.dumps(content))
    plan_training(listed, tmp_path / "run", modality="MR")
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.modality == ("MR",)
    train("student", listed, tmp_path / "run", **FAST)
    assert find_settings(tmp_path / "run") == kept


def test_a_modality_for_some_scans_of_a_list_goes_into_the_training(listed: Path, tmp_path: Path) -> None:
    content = json.loads(listed.read_text())
    del content["training"][0]["modality"]
    listed.write_text(json.dumps(content))
    plan, _ = plan_training(listed, tmp_path / "run", modality="MR")
    assert plan.value("modality") == ["CT", "MR"] and plan.modality == "MR"
    train("student", listed, tmp_path / "run", **FAST)
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.modality == ("CT", "MR")


def test_what_is_planned_and_not_trained_is_called_a_plan(listed: Path, tmp_path: Path) -> None:
    plan_training(listed, tmp_path / "run")
    kept = find_settings(tmp_path / "run")
    assert kept is not None
    with pytest.raises(SemganError, match="the plan says modality CT, not MR"):
        keep_settings(tmp_path / "run", dataclasses.replace(kept, modality=("MR",)), kept)
    train("student", listed, tmp_path / "run", **FAST)
    with pytest.raises(SemganError, match="was trained with modality CT, not MR"):
        keep_settings(tmp_path / "run", dataclasses.replace(kept, modality=("MR",)), kept)


def test_the_training_takes_all_from_the_plan(listed: Path, tmp_path: Path) -> None:
    plan, _ = plan_training(listed, tmp_path / "run", TrainSettings(size=32))
    train("student", listed, tmp_path / "run", **FAST)
    record = json.loads((tmp_path / "run" / "student" / "record.json").read_text())
    assert record["settings"]["size"] == 32 and record["settings"]["pixel_mm"] == plan.value("pixel_mm")
    assert record["settings"]["batch_size"] == plan.batch_sizes["student"]


def test_a_training_without_a_plan_makes_one_and_tells_what_is_unusual(
    listed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("student", listed, tmp_path / "run", plan=True, **FAST)
    assert find_plan(tmp_path / "run") is not None
    told = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("plan: size 64: the bodies need") for line in told)
    assert any("only 2 training patients are labelled" in line for line in told)
    assert not any(line.startswith("plan: window") for line in told)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 128}, "the plan says size 64, not 128; leave the option out, or plan anew"),
        ({"window": (0.0, 100.0)}, r"the plan says window"),
        ({"labels": {1: "right kidney"}}, "the plan says num_classes 3, not 2"),
        ({"labels": {2: "left kidney", 1: "right kidney"}}, "the plan says"),
    ],
)
def test_options_that_contradict_the_plan_are_refused(
    listed: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    plan_training(listed, tmp_path / "run")
    for refused in (
        lambda: train("student", listed, tmp_path / "run", **{**FAST, **settings}),
        lambda: plan_training(listed, tmp_path / "run", TrainSettings(**settings)),
    ):
        with pytest.raises(SemganError, match=words):
            refused()
    assert not (tmp_path / "run" / "student" / "record.json").exists()


def test_a_list_that_has_changed_is_told_with_the_first_change(listed: Path, tmp_path: Path) -> None:
    plan_training(listed, tmp_path / "run")
    before = (tmp_path / "run" / PLAN).read_bytes()
    content = json.loads(listed.read_text())
    change(listed, training=content["training"][:2])
    with pytest.raises(SemganError, match='scan image_2 of "training" is no longer in it.*--replace'):
        plan_training(listed, tmp_path / "run")
    with pytest.raises(SemganError, match="the data list has changed since the plan"):
        train("student", listed, tmp_path / "run", **FAST)
    assert (tmp_path / "run" / PLAN).read_bytes() == before
    plan, made = plan_training(listed, tmp_path / "run", anew=True)
    assert made and len(plan.scans) == 3


def test_a_corrected_label_is_another_list_and_a_copied_one_is_not(listed: Path, tmp_path: Path) -> None:
    plan_training(listed, tmp_path / "run")
    label = listed.parent / "label_0.nii.gz"
    shutil.copy(label, tmp_path / "copy.nii.gz")
    shutil.copy(tmp_path / "copy.nii.gz", label)
    plan_training(listed, tmp_path / "run")
    image = nibabel.load(label)
    corrected = np.where(np.asarray(image.dataobj) == 2, 0, np.asarray(image.dataobj))
    nibabel.save(nibabel.Nifti1Image(corrected, image.affine), label)
    with pytest.raises(SemganError, match="the files of scan image_0 have other content"):
        plan_training(listed, tmp_path / "run")


def test_a_run_that_was_trained_is_not_planned_anew(listed: Path, tmp_path: Path) -> None:
    plan_training(listed, tmp_path / "run")
    train("student", listed, tmp_path / "run", **FAST)
    with pytest.raises(SemganError, match="has been trained.*choose another --out"):
        plan_training(listed, tmp_path / "run", anew=True)
    train("student", listed, tmp_path / "old", **{**FAST, "size": 32, "num_classes": 3})
    with pytest.raises(SemganError, match="trained without a plan"):
        plan_training(listed, tmp_path / "old")


def test_unusable_scans_are_counted_and_nothing_is_planned(listed: Path, tmp_path: Path) -> None:
    for number in (0, 2):
        (listed.parent / f"image_{number}.nii.gz").write_bytes(b"no scan")
    with pytest.raises(SemganError, match=r"image_0.nii.gz: .*and 1 more scans of the list cannot be used"):
        plan_training(listed, tmp_path / "run")
    assert not (tmp_path / "run" / PLAN).exists() and not (tmp_path / "run" / "settings.json").exists()


def test_a_plan_can_be_stopped(listed: Path, tmp_path: Path) -> None:
    class Impatient(NullProgress):
        def should_stop(self) -> bool:
            return True

    with pytest.raises((Cancelled, SemganError)):
        plan_training(listed, tmp_path / "run", progress=Impatient())
    assert not (tmp_path / "run" / PLAN).exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "holds no plan"), ("[]", "holds no plan"), ('{"schema": 9}', "newer version"), ('{"schema": 1}', "no plan")],
)
def test_broken_plans_are_refused_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(SemganError, match=words):
        find_plan(tmp_path)


def test_sides_are_looked_at_in_the_patient_whatever_way_voxels_are_stored(listed: Path, tmp_path: Path) -> None:
    def doubts(name: str) -> str:
        return "\n".join(plan_training(listed, tmp_path / name)[0].doubts)

    assert "on the patient's left of" not in doubts("right")
    for path in listed.parent.glob("*.nii.gz"):
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)[::-1]
        affine = image.affine @ np.array([[-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    assert "on the patient's left of" not in doubts("flipped")
    change(listed, labels={"1": "left kidney", "2": "right kidney"})
    assert "right kidney on the patient's left of left kidney, in image_0" in doubts("wrong")


def test_pictures_in_colours_are_planned_as_photographs(tmp_path: Path) -> None:
    folder = write_isic(tmp_path / "lesions", 4)
    entries = [
        {"image": str(path), "label": str(path.with_name(f"{path.stem}_segmentation.png"))}
        for path in sorted(folder.rglob("*.jpg"))
    ]
    (tmp_path / "list.json").write_text(json.dumps({"labels": {"255": "lesion"}, "training": entries}))
    plan, _ = plan_training(tmp_path / "list.json", tmp_path / "run")
    kept = find_settings(tmp_path / "run")
    assert kept is not None and kept.preprocessing.image_channels == 3 and kept.modality == ("XC",)
    assert kept.label_ids == (255,) and kept.labels == {1: "lesion"}
    assert plan.value("field_of_view") == "image"


@pytest.mark.parametrize("fault", ["a scan that cannot be read", "nothing to train on", "a page that cannot be made"])
def test_a_plan_that_is_refused_leaves_no_folder(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "a scan that cannot be read":
        (listed.parent / "image_0.nii.gz").write_bytes(b"no scan")
    elif fault == "nothing to train on":
        change(listed, training=[])
    else:
        monkeypatch.setattr(plan_making, "plan_page", refuse)
    with pytest.raises(SemganError):
        plan_training(listed, tmp_path / "runs" / "of today")
    assert not (tmp_path / "runs").exists()


def refuse(*_: object) -> str:
    raise SemganError("no")


def test_a_plan_that_is_refused_leaves_a_folder_as_it_was(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_training(listed, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    monkeypatch.setattr(plan_making, "plan_page", refuse)
    with pytest.raises(SemganError):
        plan_training(listed, tmp_path / "run", TrainSettings(size=32), anew=True)
    assert {p: p.read_bytes() for p in before} == before
    assert files_in(tmp_path / "run") == {"settings.json", PLAN, PLAN_PAGE, "cache"}


def test_a_plan_that_is_stopped_keeps_the_slices_that_are_cut(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> str:
        raise Cancelled

    monkeypatch.setattr(plan_making, "plan_page", stop)
    with pytest.raises(Cancelled):
        plan_training(listed, tmp_path / "run")
    assert files_in(tmp_path / "run") == {"cache"}
