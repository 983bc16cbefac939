"""What is wrong with a data list is refused, or told, before anything is trained: with the file and the remedy."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import pack_slices
from monai_semgan.training.run_plan import RunPlan, plan_run
from monai_semgan.training.training_settings import TrainSettings
from tests.training.phantoms import write_patients

COARSE = {"size": 32, "pixel_mm": 10.0}
NAMES = {"1": "liver", "2": "spleen"}

Change = Callable[[dict[str, Any], Path], None]


def prepared(path: Path, **settings: Any) -> Path:
    """All that a training does before its first step."""
    plan = plan_run(path, TrainSettings(**{**COARSE, **settings}))
    return pack_slices(path, path.parent / "packed", plan)


def relabel(folder: Path, number: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
    file = folder / f"label_{number}.nii.gz"
    image = nibabel.load(file)
    nibabel.save(nibabel.Nifti1Image(change(np.asanyarray(image.dataobj)), image.affine), file)


def unknown_id(content: dict[str, Any], folder: Path) -> None:
    relabel(folder, 1, lambda label: np.where(label == 2, np.int16(600), label))


def fractions(content: dict[str, Any], folder: Path) -> None:
    relabel(folder, 1, lambda label: (label * 0.5).astype(np.float32))


def copied_image(content: dict[str, Any], folder: Path) -> None:
    shutil.copy(folder / "image_0.nii.gz", folder / "other.nii.gz")
    content["validation"][0] |= {"image": "other.nii.gz"}


def copied_test_image(content: dict[str, Any], folder: Path) -> None:
    shutil.copy(folder / "image_0.nii.gz", folder / "other.nii.gz")
    content["test"] = [{"image": "other.nii.gz"}]


def other_grid(content: dict[str, Any], folder: Path) -> None:
    file = folder / "label_1.nii.gz"
    image = nibabel.load(file)
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(image.dataobj)[:-3], image.affine), file)


def shared_label(content: dict[str, Any], folder: Path) -> None:
    content["validation"][0]["label"] = "label_0.nii.gz"


def lable(content: dict[str, Any], folder: Path) -> None:
    content["training"][0]["lable"] = content["training"][0].pop("label")


def same_patient(content: dict[str, Any], folder: Path) -> None:
    content["validation"][0]["patient"] = "p0"


def two_words(content: dict[str, Any], folder: Path) -> None:
    content["val"] = [{"image": "image_0.nii.gz"}]


def knows_nothing(content: dict[str, Any], folder: Path) -> None:
    content["training"][0]["labelled"] = ["lung"]


REFUSED: list[tuple[Change, str]] = [
    (unknown_id, r"datalist.json: .*ids beyond the 3 classes: 600 \(\d+ voxels in label_1.nii.gz\); name them"),
    (fractions, "label_1.nii.gz: label ids are not whole numbers; check"),
    (copied_image, "datalist.json: image_0.nii.gz .*other.nii.gz .* are the same image; take one of them out"),
    (copied_test_image, 'datalist.json: image_0.nii.gz in "training" and other.nii.gz in "test" are the same image;'),
    (other_grid, "label_1.nii.gz: .*image.*;"),
    (
        shared_label,
        "datalist.json: the label label_0.nii.gz is given to image_0.nii.gz and to image_3.nii.gz.*; correct",
    ),
    (lable, 'datalist.json: "training" entry 1 has no "label" but "lable"; call it "label"'),
    (same_patient, 'datalist.json: patient p0 is in "training" and in "validation"; split by patient'),
    (two_words, 'datalist.json: has "validation" and "val", which mean the same; put'),
    (knows_nothing, 'datalist.json: "training" entry 1: "labelled" has .lung., .*; it names liver, spleen'),
]


def without_validation(content: dict[str, Any], folder: Path) -> None:
    content["training"] += content.pop("validation")


def few_without_validation(content: dict[str, Any], folder: Path) -> None:
    del content["validation"]


def called_val(content: dict[str, Any], folder: Path) -> None:
    content["val"] = content.pop("validation")


def unlabelled_validation(content: dict[str, Any], folder: Path) -> None:
    del content["validation"][0]["label"]


def unknown_in_validation(content: dict[str, Any], folder: Path) -> None:
    content["validation"][0]["labelled"] = ["liver"]


def unseen_class(content: dict[str, Any], folder: Path) -> None:
    content["labels"]["7"] = "aorta"


def twice_in_training(content: dict[str, Any], folder: Path) -> None:
    shutil.copy(folder / "image_0.nii.gz", folder / "other.nii.gz")
    content["training"].append({"image": "other.nii.gz"})


TOLD: list[tuple[Change, str]] = [
    (without_validation, r"validation is taken from the training list: p\d \(1 of 3 labelled patients"),
    (few_without_validation, "no validation: the list names none, and with 2 labelled patients"),
    (called_val, '"val" of the data list is taken as "validation"'),
    (unlabelled_validation, 'no entry of "validation" has a label'),
    (unseen_class, r"no training label shows aorta \(id 7\), which is in no label file: it cannot be learnt"),
    (unknown_in_validation, "no validation label knows spleen: these are not scored"),
    (twice_in_training, 'image_0.nii.gz and other.nii.gz in "training" are the same image: take one of them out'),
]


def write(folder: Path, change: Change) -> Path:
    path = write_patients(folder, training=3, unlabelled=1, validation=1)
    content = json.loads(path.read_text()) | {"labels": dict(NAMES)}
    change(content, folder)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_refused_in_one_line_and_nothing_is_written(change: Change, message: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=message) as caught:
        prepared(write(tmp_path, change))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "packed" / "training").exists()


@pytest.mark.parametrize(("change", "message"), TOLD, ids=lambda value: getattr(value, "__name__", ""))
def test_what_may_be_meant_is_told(
    change: Change, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(write(tmp_path, change))
    assert [record for record in caplog.records if re.search(message, record.getMessage())]


def test_a_list_without_mistakes_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared(write(tmp_path, lambda content, folder: None))
    assert caplog.records == []


def test_masks_of_255_are_one_class_which_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_patients(tmp_path)
    for number in (0, 1, 3):
        relabel(tmp_path, number, lambda label: np.where(label == 1, 255, 0).astype(np.uint8))
    plan = plan_run(path, TrainSettings(**COARSE))
    assert plan.preprocessing.label_ids == (255,) and plan.preprocessing.num_classes == 2
    assert "masks of 0 and 255, and nothing names them: one class" in caplog.text
    pack_slices(path, tmp_path / "packed", plan)


@pytest.mark.parametrize(
    ("ids", "dtype"), [((200, 500), np.int16), ((7, 70_000), np.int32), ((300, 2), np.float32), ((0, 255), np.uint8)]
)
def test_any_ids_are_learnt_by_their_names(ids: tuple[int, int], dtype: type, tmp_path: Path) -> None:
    path = write_patients(tmp_path)
    for number in (0, 1, 3):
        relabel(tmp_path, number, lambda label: np.array([0, *ids], dtype)[label])
    names = {str(index): f"organ {index}" for index in ids if index}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": names}))
    plan = plan_run(path, TrainSettings(**COARSE))
    packed = np.load(pack_slices(path, tmp_path / "packed", plan) / "training" / "slices.npz")["labels"]
    assert set(np.unique(packed)) == {*range(len(names) + 1), 255}
    assert plan.preprocessing.label_ids in (tuple(sorted(index for index in ids if index)), None)


def test_classes_may_be_chosen_so_that_other_ids_are_told_with_their_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, unknown_id)
    plan = RunPlan(Preprocessing(num_classes=3, **COARSE), {1: "liver", 2: "spleen"}, chosen=True)
    pack_slices(path, tmp_path / "packed", plan)
    assert "label ids that become background: 600 (" in caplog.text and "in label_1.nii.gz" in caplog.text
