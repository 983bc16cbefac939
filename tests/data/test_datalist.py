"""A data list is checked before anything long starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.data.datalist import load_datalist
from monai_semgan.errors import SemganError
from tests.phantoms import save_nifti


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        save_nifti(tmp_path / f"{name}.nii.gz", np.arange(8.0).reshape(2, 2, 2))
        save_nifti(tmp_path / f"{name}_label.nii.gz", np.zeros((2, 2, 2), np.uint8))
    return tmp_path


def entry(name: str, label: bool = True, **more: Any) -> dict[str, Any]:
    return {"image": f"{name}.nii.gz", **({"label": f"{name}_label.nii.gz"} if label else {}), **more}


def write(folder: Path, content: Any) -> Path:
    path = folder / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_names_are_relative_to_the_list_and_labels_are_optional(folder: Path) -> None:
    content = {
        "training": [entry("a", modality="mri", patient="Ann"), entry("b", label=False), "c.nii.gz"],
        "validation": [entry("d")],
    }
    datalist = load_datalist(write(folder, content))
    first, second, third = datalist.training
    assert first.image == folder / "a.nii.gz" and first.label == folder / "a_label.nii.gz"
    assert (first.patient, first.modality) == ("Ann", "MR")
    assert (second.label, second.patient, second.modality) == (None, "b", None)
    assert third.image.name == "c.nii.gz" and len(datalist.validation) == 1 and datalist.test == ()


@pytest.mark.parametrize(
    "labels", [{"0": "background", "1": "liver", "4": "spleen"}, {"background": 0, "liver": 1, "spleen": 4}]
)
def test_names_of_labels_may_be_told_either_way_round(labels: dict, folder: Path) -> None:
    datalist = load_datalist(write(folder, {"labels": labels, "training": [entry("a")], "test": ["b.nii.gz"]}))
    assert datalist.training[0].names == datalist.test[0].names == ((1, "liver"), (4, "spleen"))
    assert load_datalist(write(folder, {"training": [entry("a")]})).training[0].names == ()


def test_an_image_may_be_a_folder_and_names_its_patient(folder: Path) -> None:
    (folder / "p.1").mkdir()
    (first,) = load_datalist(write(folder, {"training": [{"image": "p.1", "label": "a_label.nii.gz"}]})).training
    assert first.image.is_dir() and first.patient == "p.1"
    with pytest.raises(SemganError, match="do not exist"):
        load_datalist(write(folder, {"training": [{"image": "a.nii.gz", "label": "p.1"}]}))


def test_another_base_folder_can_be_given(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("elsewhere"), {"training": [entry("a")]})
    assert load_datalist(path, base_dir=folder).training[0].image.is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "a data list is a JSON object"),
        ({}, "the data list is empty"),
        ({"training": []}, "the data list is empty"),
        ({"training": {"image": "a.nii.gz"}}, '"training" is not a list'),
        ({"training": [{"label": "a_label.nii.gz"}]}, '"training" entry 1 has no "image"'),
        ({"training": [entry("a"), 5]}, '"training" entry 2 has no "image"'),
        ({"training": [{"image": "a.nii.gz", "label": 3}]}, '"label" is not a file name'),
        ({"training": [entry("a")], "labels": ["liver"]}, '"labels" does not tell the name of every label id'),
        ({"training": [entry("a")], "labels": {"1": "liver", "01": "spleen"}}, '"labels" does not tell'),
        ({"training": [entry("a")], "labels": {"liver": "one"}}, '"labels" does not tell'),
        ({"training": [entry("a", modality="PET")]}, "unknown modality 'PET'; use CT, MR, DX"),
        ({"training": [entry("x"), entry("y")]}, "do not exist: .*x.nii.gz and 3 more"),
        ({"training": [{"image": "a.nii.gz", "label": "none.nii.gz"}]}, "do not exist: .*none.nii.gz;"),
        ({"training": [entry("a")], "validation": [entry("a")]}, "listed twice"),
        ({"training": [entry("a"), entry("a")]}, "listed twice"),
        (
            {"training": [entry("a", patient="P1")], "test": [entry("b", patient="P1")]},
            'patient P1 is in "training" and in "test"; split by patient',
        ),
    ],
)
def test_mistakes_are_explained_in_one_line(folder: Path, content: Any, message: str) -> None:
    path = write(folder, content)
    with pytest.raises(SemganError, match=message) as caught:
        load_datalist(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_missing_list_and_a_list_that_is_no_text_are_explained(folder: Path) -> None:
    with pytest.raises(SemganError, match="no such data list"):
        load_datalist(folder / "none.json")
    with pytest.raises(SemganError, match="not a JSON file"):
        load_datalist(folder / "a.nii.gz")
    with pytest.raises(SemganError, match="cannot be read"):
        load_datalist(folder)


def test_a_patient_may_have_several_volumes_in_one_section(folder: Path) -> None:
    content = {"training": [entry("a", patient="P"), entry("b", patient="P")]}
    assert len(load_datalist(write(folder, content)).training) == 2


def test_the_layout_of_kits_can_be_split_and_a_patient_in_two_sections_is_told_by_what_it_goes(folder: Path) -> None:
    for name in ("train/p1", "train/p2", "val/p1", "val/p3"):
        (folder / name).mkdir(parents=True)
        (folder / name / "imaging.nii.gz").touch()
    scans = [{"image": f"{name}/imaging.nii.gz"} for name in ("train/p1", "train/p2", "val/p1", "val/p3")]
    found = load_datalist(write(folder, {"training": scans[:2], "validation": scans[3:]}))
    assert [entry.patient for entry in (*found.training, *found.validation)] == ["p1", "p2", "p3"]
    with pytest.raises(SemganError, match='patient p1, going by file names, is in "training" and in "validation"'):
        load_datalist(write(folder, {"training": scans[:2], "validation": scans[2:]}))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_list_may_be_in_any_encoding_of_unicode(encoding: str, folder: Path) -> None:
    text = json.dumps({"training": [entry("a", patient="Müller")]}, ensure_ascii=False)
    (folder / "list.json").write_bytes(text.encode(encoding))
    assert load_datalist(folder / "list.json").training[0].patient == "Müller"


@pytest.mark.parametrize("one", [0, 0.0, "0", 7, "Mu\u0308ller", "Ann "])
def test_one_patient_written_in_two_ways_is_one_patient(one: Any, folder: Path) -> None:
    other = {"0": "0", "7": 7.0, "Mu\u0308ller": "M\u00fcller", "Ann ": "Ann"}[str(one).replace("0.0", "0")]
    content = {"training": [entry("a", patient=one)], "validation": [entry("b", patient=other)]}
    with pytest.raises(SemganError, match="patient .* is in"):
        load_datalist(write(folder, content))


def test_gaps_of_a_table_are_no_patient_and_no_label(folder: Path) -> None:
    gaps = {"patient": float("nan"), "label": float("nan")}
    content = {"training": [entry("a") | gaps], "test": [entry("b") | gaps | {"label": None}]}
    datalist = load_datalist(write(folder, content))
    assert [one.patient for one in (*datalist.training, *datalist.test)] == ["a", "b"]
    assert datalist.training[0].label is None


@pytest.mark.parametrize("patient", [True, ["Ann"], {"id": 1}])
def test_what_is_no_name_is_no_patient(patient: Any, folder: Path) -> None:
    with pytest.raises(SemganError, match='entry 1: "patient" is not a name'):
        load_datalist(write(folder, {"training": [entry("a", patient=patient)]}))


@pytest.mark.skipif(os.name == "nt", reason="there they are right")
@pytest.mark.parametrize("name", ["images\\a.nii.gz", "C:\\scans\\a.nii.gz", "D:/scans/a.nii.gz"])
def test_paths_of_windows_are_called_so(name: str, folder: Path) -> None:
    with pytest.raises(SemganError, match="lists paths of Windows: .*a.nii.gz.*write /"):
        load_datalist(write(folder, {"training": [entry("b"), {"image": name}]}))


@pytest.mark.skipif(os.name == "nt", reason="no name of a file there")
def test_a_backslash_in_the_name_of_a_file_that_is_there_is_a_letter(folder: Path) -> None:
    (folder / "a.nii.gz").rename(folder / "a\\b.nii.gz")
    assert load_datalist(write(folder, {"training": ["a\\b.nii.gz"]})).training[0].image.is_file()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"1": None}, "does not tell the name"),
        ({"1": " "}, "does not tell the name"),
        ({"1": ["liver"]}, "does not tell the name"),
        ({"1": "liver", "01": "spleen"}, "does not tell the name"),
        ({"1": "liver", "2": "Liver"}, "one name, Liver, for the ids 1 and 2"),
        ({"right_kidney": 1, "right kidney": 2}, "for the ids 1 and 2"),
        ({"1": "2", "2": "1"}, "calls the id 1 by the number 2"),
        ({"1": 5}, "calls the id 1 by the number 5"),
    ],
)
def test_names_of_labels_that_could_mean_two_things_are_refused(labels: dict, message: str, folder: Path) -> None:
    with pytest.raises(SemganError, match=message):
        load_datalist(write(folder, {"training": [entry("a")], "labels": labels}))


def test_labels_may_be_called_by_their_own_numbers(folder: Path) -> None:
    content = {"training": [entry("a")], "labels": {"0": "0", "1": "1", "2": 2}}
    assert load_datalist(write(folder, content)).training[0].names == ((1, "1"), (2, "2"))


@pytest.mark.parametrize("modality", [None, "", " ", float("nan")])
def test_a_gap_is_no_modality(modality: Any, folder: Path) -> None:
    assert load_datalist(write(folder, {"training": [entry("a", modality=modality)]})).training[0].modality is None


NAMES = {"labels": {"1": "liver", "2": "left kidney", "200": "spleen"}}


@pytest.mark.parametrize("key", ["labelled", "labeled"])
@pytest.mark.parametrize(
    ("told", "meant"),
    [(["liver"], ("liver",)), ("Left_Kidney", ("left kidney",)), ([200, "1"], ("spleen", "liver")), ([2, 2.0], None)],
)
def test_an_entry_tells_what_its_label_knows(key: str, told: Any, meant: tuple | None, folder: Path) -> None:
    (found,) = load_datalist(write(folder, {**NAMES, "training": [entry("a", **{key: told})]})).training
    assert found.labelled == (meant or ("left kidney",))


@pytest.mark.parametrize("told", [None, True, False])
def test_an_entry_that_tells_nothing_knows_everything(told: Any, folder: Path) -> None:
    assert load_datalist(write(folder, {**NAMES, "training": [entry("a", labelled=told)]})).training[0].labelled == ()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            entry("a", labelled=["lung"]),
            '"labelled" has .lung., which "labels" does not; it names',
        ),
        (entry("a", labelled=[]), '"labelled" is no list of labels'),
        (entry("a", labelled=[["liver"]]), '"labelled" is no list of labels'),
        (entry("a", label=False, labelled=["liver"]), "there is no label"),
        (entry("a", labeled_=["liver"]), 'has no "labelled" but "labeled_"'),
        (entry("a", lableled=["liver"]), 'has no "labelled" but "lableled"'),
    ],
)
def test_mistakes_in_what_a_label_knows_are_explained(item: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(SemganError, match=message):
        load_datalist(write(folder, {**NAMES, "training": [item]}))


def test_one_label_for_images_of_two_patients_is_told_and_refused_across_sections(folder: Path) -> None:
    shared = {"image": "b.nii.gz", "label": "a_label.nii.gz"}
    told = "the label a_label.nii.gz is given to a.nii.gz and to b.nii.gz"
    (note,) = load_datalist(write(folder, {"training": [entry("a"), shared]})).notes
    assert note.startswith(told)
    same = {"training": [entry("a", patient="P"), shared | {"patient": "P"}]}
    assert load_datalist(write(folder, same)).notes == ()
    with pytest.raises(SemganError, match=told):
        load_datalist(write(folder, {"training": [entry("a")], "test": [shared]}))
