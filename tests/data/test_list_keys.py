"""A key that is meant as another one is named, so that no label and no section is overlooked in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.list_keys import KEYS, OTHER_SPELLINGS, check_keys
from monai_semgan.errors import SemganError
from tests.phantoms import save_nifti


def load(folder: Path, content: Any) -> Any:
    for name in ("a", "a_label"):
        save_nifti(folder / f"{name}.nii.gz", np.arange(8).reshape(2, 2, 2).astype(np.uint8))
    (folder / "list.json").write_text(json.dumps(content))
    return load_datalist(folder / "list.json")


@pytest.mark.parametrize(
    ("key", "meant"),
    [(key, "label") for key in ("seg", "Label", "LABEL", "labels", "lable", "labl", "mask", "ground_truth", "Seg")]
    + [("Patient", "patient"), ("pateint", "patient"), ("Modality", "modality"), ("modalty", "modality")],
)
def test_a_near_miss_is_named(tmp_path: Path, key: str, meant: str) -> None:
    item = {"image": "a.nii.gz", key: "a_label.nii.gz" if meant == "label" else "MR"}
    with pytest.raises(SemganError, match=f'"training" entry 1 has no "{meant}" but "{key}"; call it "{meant}"'):
        load(tmp_path, {"training": [item]})


@pytest.mark.parametrize("key", ["Image", "images", "imgae"])
def test_a_near_miss_of_the_image_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(SemganError, match=f'has no "image" but "{key}"'):
        load(tmp_path, {"training": [{key: "a.nii.gz"}]})


@pytest.mark.parametrize(
    "more",
    [
        {
            "fold": 0,
            "id": "x",
            "spacing": [1, 1, 1],
            "patient_id": "p",
            "label_value": 1,
            "image_meta": {},
            "stage": "T2",
        },
        {"label": "a_label.nii.gz", "seg": "other.nii.gz", "labels": [1, 2], "mask": "m.nii.gz"},
        {"labels": [1, 2], "seg": None, "mask": ""},
        {"label": None, "pred": "p.nii.gz", "box": "b.json"},
    ],
)
def test_other_keys_as_lists_of_monai_have_them_are_fine(tmp_path: Path, more: dict[str, Any]) -> None:
    (entry,) = load(tmp_path, {"training": [{"image": "a.nii.gz", **more}]}).training
    assert (entry.label is not None) == bool(more.get("label"))


@pytest.mark.parametrize(
    ("key", "meant", "value"),
    [("validaton", "validation", ["a.nii.gz"]), ("traning", "training", ["a.nii.gz"])]
    + [("Labels", "labels", {"1": "liver"})],
)
def test_a_section_that_would_be_overlooked_is_named(tmp_path: Path, key: str, meant: str, value: Any) -> None:
    with pytest.raises(SemganError, match=f'has no "{meant}" but "{key}"'):
        load(tmp_path, {"test": ["a.nii.gz"], key: value})


@pytest.mark.parametrize(
    ("key", "meant"),
    [("val", "validation"), ("Valid", "validation"), ("dev", "validation"), ("train", "training"), ("Test", "test")]
    + [("testing", "test"), ("tests", "test"), ("TRAINING", "training")],
)
def test_other_words_for_sections_are_taken_and_noted(tmp_path: Path, key: str, meant: str) -> None:
    found = load(tmp_path, {key: ["a.nii.gz"]})
    assert len(getattr(found, meant)) == 1
    assert found.notes == (f'"{key}" of the data list is taken as "{meant}"',)


def test_an_empty_section_does_not_hide_one_of_another_word(tmp_path: Path) -> None:
    assert load(tmp_path, {"validation": [], "val": ["a.nii.gz"]}).validation


def test_two_keys_that_mean_one_section_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match='has "valid" and "val", which mean the same; put the entries'):
        load(tmp_path, {"valid": ["a.nii.gz"], "val": ["a_label.nii.gz"]})


def test_other_keys_beside_the_sections_are_fine(tmp_path: Path) -> None:
    more = {"name": "x", "description": "y", "numTest": 0, "modality": {"0": "CT"}, "tensorImageSize": "3D", "val": []}
    assert load(tmp_path, {"training": ["a.nii.gz"], "label": "x", **more}).training


@given(st.sampled_from(KEYS), st.data())
def test_every_slip_of_one_letter_and_every_case_is_a_near_miss(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    slips = [
        name.upper(),
        name.title(),
        name + "s",
        name[:place] + name[place + 1 :],
        name[:place] + name[place] + name[place:],
    ]
    slip = data.draw(st.sampled_from([slip for slip in slips if slip not in (name, *OTHER_SPELLINGS)]))
    item = {key: "x" for key in KEYS if key != name} | {slip: "x"}
    with pytest.raises(SemganError, match=f'has no "{name}" but "{slip}"'):
        check_keys(item, "entry 1", Path("list.json"))
