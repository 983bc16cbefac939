"""A label may be a folder with one file per organ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.entries import read_entry_label
from monai_semgan.errors import SemganError
from monai_semgan.evaluation.label_files import evaluate_predictions
from tests.phantoms import save_nifti

MODEL = {1: "liver", 2: "right kidney", 3: "spleen"}


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """As data sets of TotalSegmentator lie: the liver, the right kidney and the aorta, no spleen."""
    folder = tmp_path / "s0001" / "segmentations"
    folder.mkdir(parents=True)
    save_nifti(tmp_path / "s0001" / "ct.nii.gz", np.arange(24).reshape(6, 2, 2) / 7)
    for name, place in {"liver": 0, "kidney_right": 2, "aorta": 4}.items():
        array = np.zeros((6, 2, 2), np.uint8)
        array[place : place + 2] = 1
        save_nifti(folder / f"{name}.nii.gz", array)
    content = {"test": [{"image": "s0001/ct.nii.gz", "label": "s0001/segmentations", "patient": "s0001"}]}
    (tmp_path / "list.json").write_text(json.dumps(content))
    return load_datalist(tmp_path / "list.json").test[0]


def test_organs_are_read_by_the_names_of_the_files(entry: Entry) -> None:
    label = read_entry_label(entry, names=MODEL)
    assert label.array[:, 0, 0].tolist() == [1, 1, 2, 2, 0, 0]
    with pytest.raises(SemganError, match="nothing tells which organs are meant"):
        read_entry_label(entry)
    with pytest.raises(SemganError, match="holds none of the organs heart; rename its files; there are aorta, kidney"):
        read_entry_label(entry, names={1: "heart"})


def test_organs_that_share_voxels_are_refused(entry: Entry) -> None:
    assert entry.label is not None
    save_nifti(entry.label / "spleen.nii.gz", np.ones((6, 2, 2), np.uint8))
    with pytest.raises(SemganError, match="spleen and liver share voxels"):
        read_entry_label(entry, names=MODEL)


def test_organs_without_a_file_are_not_scored(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    save_nifti(tmp_path / "p" / "ct.nii.gz", np.repeat([1, 1, 2, 0, 3, 3], 4).reshape(6, 2, 2).astype(np.uint8))
    (score,) = evaluate_predictions(tmp_path / "p", [entry], MODEL, with_distance=False).patients
    assert {name: round(organ.dice, 3) for name, organ in score.organs.items()} == {"liver": 1, "right kidney": 0.667}
