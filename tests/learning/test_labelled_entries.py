"""Which scans have labels: of data lists, and of folders in the usual layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.learning.labelled_entries import labelled_entries
from tests.phantoms import save_datalist, save_nifti

BLOCK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def files(folder: Path, *names: str) -> Path:
    """Volumes at these places."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_nifti(folder / name, BLOCK)
    return folder


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.nii.gz", "a_label.nii.gz"),
        ("a.nii.gz", "a_seg.nii"),
        ("images/a.nii.gz", "labels/a.nii.gz"),
        ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        ("p1/ct.nii.gz", "p1/label.nii.gz"),
        ("p1/images/ct.nii.gz", "p1/masks/ct.nii.gz"),
    ],
)
def test_scans_and_labels_of_a_folder_find_each_other(image: str, label: str, tmp_path: Path) -> None:
    files(tmp_path, image, label, "elsewhere/unlabelled.nii.gz")
    (entry,) = labelled_entries(tmp_path)
    assert (entry.image, entry.label) == (tmp_path / image, tmp_path / label)


def test_a_label_without_a_name_belongs_to_no_scan_where_there_are_two(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="no scan with a label"):
        labelled_entries(files(tmp_path, "ct.nii", "mr.nii", "label.nii"))


def test_patients_of_a_folder_are_told_apart(tmp_path: Path) -> None:
    entries = labelled_entries(files(tmp_path, "a.nii", "a_label.nii", "b.nii", "b_label.nii"))
    assert [entry.patient for entry in entries] == ["a", "b"]


def test_two_labels_of_a_scan_are_refused(tmp_path: Path) -> None:
    files(tmp_path, "a.nii", "a_label.nii", "a_mask.nii")
    with pytest.raises(SemganError, match="two labels: a_label.nii and a_mask.nii"):
        labelled_entries(tmp_path)


def test_a_list_gives_its_labelled_scans_but_those_of_the_test(tmp_path: Path) -> None:
    files(tmp_path, *(f"{name}.nii" for name in "abcd"), *(f"{name}_label.nii" for name in "abd"))
    pair = {name: {"image": f"{name}.nii", "label": f"{name}_label.nii"} for name in "abd"}
    path = save_datalist(tmp_path, training=[pair["a"], {"image": "c.nii"}], validation=[pair["b"]], test=[pair["d"]])
    assert [entry.image.stem for entry in labelled_entries(path)] == ["a", "b"]
    assert [entry.image.stem for entry in labelled_entries(tmp_path)] == ["a", "b"], "a folder with a list is its list"


@pytest.mark.parametrize(("name", "said"), [("none", "no such data list or folder"), (".", "no scan with a label")])
def test_nothing_to_learn_from_is_told(name: str, said: str, tmp_path: Path) -> None:
    files(tmp_path, "a.nii")
    with pytest.raises(SemganError, match=said):
        labelled_entries(tmp_path / name)
