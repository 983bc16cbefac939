"""Label files of others are scored as what they are, whatever their ids, and nothing about it is silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.data.datalist import load_datalist
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.label_files import evaluate_predictions
from monai_semgan.evaluation.organ_names import organ_names
from monai_semgan.evaluation.prediction_ids import ids_in_files
from monai_semgan.evaluation.scores import Study
from tests.phantoms import save_nifti

MODEL = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
OTHERS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 7: "aorta"}
"""As TotalSegmentator numbers them, and the aorta."""

TRUTH = np.zeros((12, 6, 6), np.uint8)
for _index in range(5):
    TRUTH[2 * _index : 2 * _index + 2] = _index
TRUTH[10:] = 9
"""Classes of the model in slabs, and 9 for an aorta, which it does not know."""


def stored(names: dict[int, str], array: np.ndarray = TRUTH) -> np.ndarray:
    """The truth with ids that mean these names."""
    words = {"liver": 1, "right kidney": 2, "kidney_right": 2, "left kidney": 3, "kidney_left": 3, "spleen": 4}
    result = np.zeros_like(array)
    for index, name in names.items():
        result[array == words.get(name, 9)] = index
    return result


def listed(folder: Path, label: np.ndarray, names: dict[int, str] | None, **more: Any) -> list[Any]:
    save_nifti(folder / "a.nii.gz", np.random.default_rng(0).normal(size=TRUTH.shape))
    save_nifti(folder / "a_label.nii.gz", label)
    content: dict[str, Any] = {"test": [{"image": "a.nii.gz", "label": "a_label.nii.gz", **more}]}
    content |= {} if names is None else {"labels": {str(k): v for k, v in names.items()}}
    (folder / "list.json").write_text(json.dumps(content))
    (folder / "p").mkdir(exist_ok=True)
    return list(load_datalist(folder / "list.json").test)


def scored(folder: Path, entries: list[Any], **options: Any) -> Study:
    return evaluate_predictions(folder / "p", entries, MODEL, with_distance=False, **options)


def dice(study: Study) -> dict[str, float]:
    assert not study.missing, study.missing
    return {name: round(score.dice, 3) for name, score in study.patients[0].organs.items()}


PERFECT = dict.fromkeys(MODEL.values(), 1.0)


@pytest.mark.parametrize("option", [None, "model", "list", "file"])
@pytest.mark.parametrize("ids", [MODEL, OTHERS], ids=["ids of the model", "ids of the list"])
def test_ids_of_model_or_list_are_understood_and_a_wrong_claim_is_visible(
    tmp_path: Path, ids: dict[int, str], option: str | None
) -> None:
    entries = listed(tmp_path, stored(OTHERS), OTHERS)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(ids))
    (tmp_path / "ids.json").write_text(json.dumps({str(index): name for index, name in ids.items()}))
    study = scored(tmp_path, entries, prediction_labels=tmp_path / "ids.json" if option == "file" else option)
    claimed = {"model": MODEL, "list": OTHERS}.get(option or "", ids)
    assert (dice(study) == PERFECT) == (claimed == ids)
    if option is None:
        assert "by comparison with the labels (mean Dice 1.00, " in study.notes[0]
        assert ("ids of the model" in study.notes[0]) == (ids == MODEL)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [0, 1, 2])
def test_predictions_along_other_axes_than_the_labels_are_scored_where_they_lie(
    order: tuple[int, int, int], flipped: int, tmp_path: Path
) -> None:
    entries = listed(tmp_path, stored(MODEL), MODEL)
    flip = np.eye(4)
    flip[flipped, flipped], flip[flipped, 3] = -1, TRUTH.shape[flipped] - 1
    affine = np.diag([-2.0, 2.0, 3.0, 1.0]) @ flip  # that of `save_nifti`
    turned = np.flip(stored(MODEL), flipped).transpose(order)
    save_nifti(tmp_path / "p" / "a.nii.gz", turned, affine[:, [*order, 3]])
    assert dice(scored(tmp_path, entries)) == PERFECT


def test_nothing_is_guessed_where_model_and_list_differ_in_sides_alone(tmp_path: Path) -> None:
    swapped = {1: "liver", 2: "left kidney", 3: "right kidney", 4: "spleen"}
    entries = listed(tmp_path, stored(swapped), swapped)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(swapped))
    with pytest.raises(SemganError, match="2 is left kidney in the list, right kidney in the model.*whose ids"):
        scored(tmp_path, entries)
    assert dice(scored(tmp_path, entries, prediction_labels="list")) == PERFECT
    assert dice(scored(tmp_path, entries, prediction_labels="model"))["right kidney"] == 0


def test_nothing_is_guessed_from_predictions_that_fit_neither(tmp_path: Path) -> None:
    entries = listed(tmp_path, stored(OTHERS), OTHERS)
    save_nifti(tmp_path / "p" / "a.nii.gz", np.where(TRUTH == 0, 1, 0).astype(np.uint8))
    with pytest.raises(SemganError, match="say it with --prediction-labels model, list or FILE"):
        scored(tmp_path, entries)


def test_what_lies_beside_predictions_tells_their_ids(tmp_path: Path) -> None:
    entries = listed(tmp_path, stored(OTHERS), OTHERS)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored({1: "aorta", 2: "liver", 3: "spleen"}))
    (tmp_path / "p" / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "aorta": 1, "liver": 2, "spleen": 3}, "file_ending": ".nii.gz"})
    )
    study = scored(tmp_path, entries)
    assert dice(study) == {"liver": 1, "right kidney": 0, "left kidney": 0, "spleen": 1}
    assert "ids as their dataset.json says" in study.notes[0] and "aorta" in study.notes[1]
    assert "right kidney, left kidney: in no prediction; check the ids" in study.notes
    (tmp_path / "p" / "dataset.json").unlink()
    (tmp_path / "p" / ".cohort").mkdir()
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    assert dice(scored(tmp_path, entries)) == PERFECT


def test_organs_that_the_list_does_not_name_are_unknown_not_absent(tmp_path: Path) -> None:
    entries = listed(tmp_path, np.where(TRUTH == 1, 1, 0).astype(np.uint8), {1: "liver"})
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    study = scored(tmp_path, entries)
    assert dice(study) == {"liver": 1} and study.dice == {"liver": 1, "mean": 1}
    assert study.notes == (
        "right kidney, left kidney, spleen: not scored, not named by list (labels, labelled) or label files",
    )


def test_kidneys_of_btcv_are_scored_by_its_short_names(tmp_path: Path) -> None:
    names = {1: "spleen", 2: "rkid", 3: "lkid", 6: "liver"}
    plain = {1: "spleen", 2: "right kidney", 3: "left kidney", 6: "liver"}
    entries = listed(tmp_path, stored(plain), names)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    assert dice(scored(tmp_path, entries, prediction_labels="model")) == PERFECT


@pytest.mark.parametrize("called", ["case_1.nii.gz", "case_1__imaging.nii.gz", "case_1/liver.nii.gz"])
def test_predictions_may_be_called_like_the_folders_of_scans_of_one_name(tmp_path: Path, called: str) -> None:
    for name in ("case_0", "case_1"):
        (tmp_path / name).mkdir()
        save_nifti(tmp_path / name / "imaging.nii.gz", np.random.default_rng(0).normal(size=TRUTH.shape))
        save_nifti(tmp_path / name / "segmentation.nii.gz", np.roll(TRUTH * (TRUTH == 1), int(name[-1]), 2))
    test = [{"image": f"case_{n}/imaging.nii.gz", "label": f"case_{n}/segmentation.nii.gz"} for n in range(2)]
    (tmp_path / "list.json").write_text(json.dumps({"test": test}))
    (tmp_path / "p" / called).parent.mkdir(parents=True)
    save_nifti(tmp_path / "p" / called, np.roll(TRUTH * (TRUTH == 1), 1, 2))
    study = scored(tmp_path, list(load_datalist(tmp_path / "list.json").test))
    assert {score.patient: score.organs["liver"].dice for score in study.scored} == {"case_1": 1}
    assert [score.patient for score in study.missing] == ["case_0"]


def test_an_organ_that_no_label_holds_is_told(tmp_path: Path) -> None:
    entries = listed(tmp_path, np.where(TRUTH == 1, 1, 0).astype(np.uint8), None)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    study = scored(tmp_path, entries)
    assert study.dice == {"liver": 1, "mean": 1}
    assert study.notes == (
        "right kidney, left kidney, spleen: not scored, no label shows them; where labels would, "
        'name them in the list\'s "labels"',
    )
    study = scored(tmp_path, listed(tmp_path, np.where(TRUTH == 1, 1, 0).astype(np.uint8), MODEL))
    assert study.dice == {"liver": 1, "right kidney": 0, "left kidney": 0, "spleen": 0, "mean": 0.25}
    assert study.notes == ("right kidney, left kidney, spleen: in no label; check the ids and the names of the list",)


def test_further_organs_are_ignored_where_the_ids_are_told_and_refused_where_not(tmp_path: Path) -> None:
    more = {**MODEL, 9: "aorta"}
    entries = listed(tmp_path, stored(more), more)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(more))
    study = scored(tmp_path, entries)
    assert dice(study) == PERFECT
    assert study.notes == ("ignored in the predictions, being no organs of the model: 9",)
    entries = listed(tmp_path, stored(MODEL), None)
    assert "holds the label id 9; known are 1 liver, " in scored(tmp_path, entries).missing[0].problem
    assert dice(scored(tmp_path, entries, prediction_labels="model")) == PERFECT


def test_a_folder_with_one_file_per_organ_is_read_by_their_names(tmp_path: Path) -> None:
    entries = listed(tmp_path, stored(OTHERS), OTHERS)
    (tmp_path / "p" / "a").mkdir()
    for name, index in {"liver": 1, "kidney_right": 2, "Left_Kidney": 3, "aorta": 9}.items():
        save_nifti(tmp_path / "p" / "a" / f"{name}.nii.gz", (index == TRUTH).astype(np.uint8) * 255)
    study = scored(tmp_path, entries)
    assert dice(study) == {"liver": 1, "right kidney": 1, "left kidney": 1}
    assert study.notes[-1] == "spleen: not scored, no prediction has a file of that name" and "aorta" in study.notes[0]


def test_organs_of_a_folder_may_have_ids_that_fill_no_byte(tmp_path: Path) -> None:
    names = {200: "liver", 500: "spleen", 600: "left kidney"}
    entries = listed(tmp_path, stored(names, TRUTH.astype(np.int32)), names)
    (tmp_path / "p" / "a").mkdir()
    for name, index in {"liver": 1, "spleen": 4}.items():
        save_nifti(tmp_path / "p" / "a" / f"{name}.nii.gz", (index == TRUTH).astype(np.uint8))
    study = evaluate_predictions(tmp_path / "p", entries, names, with_distance=False)
    assert dice(study) == {"liver": 1, "spleen": 1}


def test_an_organ_without_a_file_was_not_found_where_other_scans_have_one(tmp_path: Path) -> None:
    for name in "ab":
        save_nifti(tmp_path / f"{name}.nii.gz", np.random.default_rng(0).normal(size=TRUTH.shape))
        save_nifti(tmp_path / f"{name}_label.nii.gz", TRUTH)
        (tmp_path / "p" / name).mkdir(parents=True)
    for name in ("a/liver", "a/spleen", "b/liver"):
        index = 1 if name.endswith("liver") else 4
        save_nifti(tmp_path / "p" / f"{name}.nii.gz", (index == TRUTH).astype(np.uint8))
    test = [{"image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz"} for name in "ab"]
    (tmp_path / "list.json").write_text(json.dumps({"test": test}))
    study = scored(tmp_path, list(load_datalist(tmp_path / "list.json").test))
    assert [score.organs["spleen"].dice for score in study.patients] == [1, 0] and study.dice["spleen"] == 0.5


def test_labels_of_a_model_that_learnt_other_ids_are_read_as_the_model_reads_them(tmp_path: Path) -> None:
    files = {6: "liver", 2: "right kidney", 3: "left kidney", 1: "spleen"}
    entries = listed(tmp_path, stored(files), None)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    assert dice(scored(tmp_path, entries, label_ids=files)) == PERFECT
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(files))
    assert dice(scored(tmp_path, entries, label_ids=files)) == PERFECT
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.json").write_text(json.dumps({"slices": {"label_ids": [6, 2, 3, 1]}}))
    assert ids_in_files(tmp_path, MODEL) == files
    assert ids_in_files(tmp_path / "none", MODEL) == MODEL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file with names of ids"),
        ("{", "not a JSON file"),
        ({"labels": {"1": "heart"}}, "names none of the organs liver, right kidney"),
        ({"1": ["liver"], "x": "y"}, "does not tell the name of every label id"),
    ],
)
def test_a_useless_file_of_ids_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    entries = listed(tmp_path, stored(MODEL), None)
    save_nifti(tmp_path / "p" / "a.nii.gz", stored(MODEL))
    path = tmp_path / "ids.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SemganError, match=message) as caught:
        scored(tmp_path, entries, prediction_labels=path)
    assert caught.value.path == path


LUNGS = {1: "lungs"}


@pytest.mark.parametrize("names", [None, {255: "lungs"}, LUNGS], ids=["no names", "255 named", "1 named"])
@pytest.mark.parametrize("reference", [1, 255])
@pytest.mark.parametrize("prediction", [1, 255])
def test_masks_of_one_structure_are_read_on_both_sides_whether_they_say_1_or_255(
    tmp_path: Path, prediction: int, reference: int, names: dict[int, str] | None
) -> None:
    mask = (TRUTH == 1).astype(np.uint8)
    entries = listed(tmp_path, mask * reference, names)
    save_nifti(tmp_path / "p" / "a.nii.gz", mask * prediction)
    told = organ_names(entries, tmp_path / "p")
    study = evaluate_predictions(tmp_path / "p", entries, told.labels, label_ids=told.files, with_distance=False)
    assert study.dice["mean"] == 1.0 and not study.missing


@pytest.mark.parametrize("side", ["reference", "prediction"])
def test_a_mask_of_255_that_may_show_several_structures_is_refused_on_both_sides(tmp_path: Path, side: str) -> None:
    mask = (TRUTH == 1).astype(np.uint8)
    entries = listed(tmp_path, mask * (255 if side == "reference" else 1), MODEL)
    save_nifti(tmp_path / "p" / "a.nii.gz", mask * (255 if side == "prediction" else 1))
    (missing,) = scored(tmp_path, entries).missing
    assert "a mask of 0 and 255, and which of liver, right kidney, left kidney, spleen it shows" in missing.problem
    assert '"labels": {"255": "liver"}' in missing.problem


def test_a_1_of_an_atlas_is_not_taken_for_its_only_named_structure(tmp_path: Path) -> None:
    """The list names the spleen alone, and this label shows a liver alone."""
    entries = listed(tmp_path, (TRUTH == 1).astype(np.uint8), {4: "spleen"})
    save_nifti(tmp_path / "p" / "a.nii.gz", np.where(TRUTH == 1, 4, 0).astype(np.uint8))
    assert dice(scored(tmp_path, entries)) == {"spleen": 0.0}
