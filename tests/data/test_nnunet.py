"""A data set of nnU-Net is a data list as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.cohort.cases import find_cases
from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.entries import read_entry_label
from monai_semgan.errors import SemganError
from tests.phantoms import save_nifti

LABELS = {"background": 0, "liver": 1, "spleen": 2}


def data_set(folder: Path, *names: str, **content: Any) -> Path:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        array = np.arange(24).reshape(2, 3, 4)
        save_nifti(folder / f"{name}.nii.gz", (array % 3).astype(np.uint8) if name.startswith("labels") else array / 7)
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz", "channel_names": {"0": "MRI"}, **content}))
    return path


SECOND = ("imagesTr/a_0000", "imagesTr/b_0000", "labelsTr/a", "labelsTr/b", "imagesTs/c_0000")


def test_cases_are_found_in_its_folders_and_called_without_their_channel(tmp_path: Path) -> None:
    path = data_set(tmp_path, *SECOND, numTraining=2)
    datalist = load_datalist(path)
    assert [(e.name, e.patient, e.modality) for e in datalist.training] == [("a", "a", "MR"), ("b", "b", "MR")]
    assert [e.label and e.label.name for e in datalist.training] == ["a.nii.gz", "b.nii.gz"]
    assert [(e.name, e.label) for e in datalist.test] == [("c", None)]
    assert datalist.training[0].names == ((1, "liver"), (2, "spleen"))
    assert read_entry_label(datalist.training[0]).array.max() == 2
    assert [case.name for case in find_cases(path, tmp_path / "out").cases] == ["a", "b", "c"]


def test_cases_may_be_listed_wherever_they_lie(tmp_path: Path) -> None:
    listed = {"ann": {"images": ["x/one.nii.gz"], "label": "x/two.nii.gz"}}
    path = data_set(tmp_path, "x/one", "x/two", numTraining=1, dataset=listed)
    (entry,) = load_datalist(path).training
    assert entry.name == "ann" and entry.image.name == "one.nii.gz"


def test_the_first_nnunet_lists_images_without_their_channel(tmp_path: Path) -> None:
    training = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in "ab"]
    path = data_set(tmp_path, *SECOND, numTraining=2, training=training, test=["./imagesTs/c.nii.gz"])
    datalist = load_datalist(path)
    assert [e.image.name for e in datalist.training] == ["a_0000.nii.gz", "b_0000.nii.gz"]
    assert [e.patient for e in (*datalist.training, *datalist.test)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"channel_names": {"0": "T1", "1": "T2"}}, "describes images of 2 channels, a scan has one"),
        ({"numTraining": 3}, "tells of 3 training cases .*, 2 are there"),
        ({"dataset": {"a": {"images": ["x", "y"], "label": "z"}}}, "does not tell one image and a label of a"),
        ({"labels": {"background": 0, "both": [1, 2]}}, '"labels" does not tell the name of every label id'),
        ({"file_ending": ".nrrd"}, "the data list is empty"),
    ],
)
def test_what_is_no_list_of_scans_is_one_line(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(SemganError, match=message):
        load_datalist(data_set(tmp_path, *SECOND, **content))


def test_a_case_without_its_label_is_named(tmp_path: Path) -> None:
    path = data_set(tmp_path, *SECOND)
    (tmp_path / "labelsTr" / "b.nii.gz").unlink()
    with pytest.raises(SemganError, match="do not exist: .*labelsTr/b.nii.gz"):
        load_datalist(path)
