"""Scores of scans against references that use other ids, or know fewer organs than the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.data.datalist import Entry
from monai_semgan.evaluation import scores
from monai_semgan.evaluation.metrics import OrganScore
from monai_semgan.evaluation.scores import PatientScore, Study, remarks_on
from monai_semgan.evaluation.study import score_on_scan
from monai_semgan.evaluation.tables import csv_text, from_json, markdown, to_json
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import save_nifti

NAMES = {1: "liver", 2: "spleen"}


def scored(folder: Path, found: np.ndarray, stored: np.ndarray, **more: Any) -> dict[str, Any]:
    """Scores of what a model of two organs found in a scan whose label file holds `stored`."""
    preprocessing = Preprocessing(num_classes=3, label_ids=more.pop("label_ids", None))
    far = more.pop("with_distance", False)
    entry = Entry(folder / "a.nii.gz", save_nifti(folder / "a_label.nii.gz", stored, np.eye(4)), "anna", **more)
    return dict(score_on_scan(found, entry, Volume(found, np.eye(4)), NAMES, preprocessing, far))


def slabs(*ids: int) -> np.ndarray:
    return np.repeat(np.array(ids, np.uint8), 16).reshape(-1, 4, 4)


def test_ids_of_label_files_that_differ_from_the_classes_are_understood(tmp_path: Path) -> None:
    scores = scored(tmp_path, slabs(1, 1, 0, 2), slabs(6, 6, 9, 1), label_ids=(6, 1))
    assert {name: score.dice for name, score in scores.items()} == {"liver": 1.0, "spleen": 1.0}


FOUND, LIVER_ONLY = slabs(1, 2, 0, 0), slabs(1, 0, 0, 0)


@pytest.mark.parametrize(
    ("told", "dice"),
    [
        ({}, {"liver": 1.0}),  # nothing tells that these labels would show a spleen
        ({"names": ((1, "liver"),)}, {"liver": 1.0}),
        ({"names": ((1, "liver"), (2, "spleen"))}, {"liver": 1.0, "spleen": 0.0}),
        ({"names": ((1, "liver"), (2, "spleen")), "labelled": ("liver",)}, {"liver": 1.0}),
    ],
    ids=["no names", "liver named", "both named", "liver labelled"],
)
def test_nobodys_mean_is_lowered_by_an_organ_that_the_reference_does_not_know(
    tmp_path: Path, told: dict[str, Any], dice: dict[str, float]
) -> None:
    study = Study((PatientScore("anna", "CT", scored(tmp_path, FOUND, LIVER_ONLY, **told)),), NAMES)
    assert {name: value for name, value in study.dice.items() if name != "mean"} == dice
    assert study.dice["mean"] == np.mean(list(dice.values()))
    assert study.organs == list(dice) and ("spleen" in csv_text(study)) == ("spleen" in dice)
    assert from_json(to_json(study)).dice == study.dice
    notes = " ".join(remarks_on(study.patients, NAMES))
    assert ("spleen: not scored" in notes) == ("spleen" not in dice)


def test_an_organ_that_one_reference_shows_is_known_to_those_beside_it(tmp_path: Path) -> None:
    """A removed spleen that is found anyway costs its Dice."""
    first = PatientScore("anna", "CT", scored(tmp_path, FOUND, LIVER_ONLY))
    second = PatientScore("ben", "CT", scored(tmp_path, FOUND, FOUND))
    assert Study((first, second), NAMES).dice == {"liver": 1.0, "spleen": 0.5, "mean": 0.75}


def test_radiographs_are_told_in_pixels_and_distances_with_their_number(tmp_path: Path) -> None:
    plane = np.zeros((12, 12, 1), np.uint8)
    plane[2:8, 2:8], plane[9:11, 9:11] = 1, 2
    entry = Entry(tmp_path / "a.png", save_nifti(tmp_path / "a.nii.gz", plane, np.eye(4)), "anna", "DX")
    missed = np.where(plane == 2, 0, plane)
    patients = [
        PatientScore(who, "DX", score_on_scan(found, entry, Volume(plane, np.eye(4)), NAMES, Preprocessing()))
        for who, found in (("anna", np.roll(plane, 1, 0)), ("ben", missed))
    ]
    study = Study(tuple(patients), NAMES)
    text = markdown(study)
    assert "HD95 (pixels)" in text and "area error (pixels)" in text and "mm" not in text and "ml" not in text
    spleen = next(line for line in text.splitlines() if line.startswith("| spleen"))
    assert spleen.split("|")[2].strip() == "2" and "(1), 1 of 2" in spleen.split("|")[4]
    assert "hd95_pixels" in csv_text(study) and "reference_pixels" in csv_text(study)
    assert from_json(to_json(study)).patients[1].organs["liver"].reference_pixels == 36


def test_distances_that_were_not_computed_are_left_out_and_not_told_as_missed(tmp_path: Path) -> None:
    told = [
        markdown(Study((PatientScore("anna", "CT", scored(tmp_path, found, FOUND, with_distance=far)),), NAMES))
        for found, far in ((FOUND, True), (FOUND, False), (np.zeros_like(FOUND), True))
    ]
    assert ["HD95" in text for text in told] == [True, False, True]
    assert "0 of 1" not in told[1] and "0 of 1" in told[2]


def test_a_table_asks_once_which_organs_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(scores, "beyond_labels", lambda *given: asked.append(given) or ())
    some = {name: OrganScore(1.0, 1.0, 1.0, 1.0, 1.0) for name in NAMES.values()}
    study = Study(tuple(PatientScore(f"p{number}", "CT", some) for number in range(5)), NAMES)
    assert len(csv_text(study).splitlines()) == 11 and "p4" in markdown(study)
    assert len(asked) == 1
