"""The validation score counts every scan, whoever it shows, and its record is JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import Entry
from monai_semgan.data.preparation import known_by_volume
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.evaluation.scores import PatientScore, Study, score_entry
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.datasets import pack_slices
from monai_semgan.training.validation import patient_dice, scan_keys, summary
from tests.training.phantoms import TINY, train
from tests.utils.test_json_text import strict


def scans(patients: list[str]) -> SliceSet:
    """Three slices of every scan; each shows class 1 in a square, and is bright there in the first scan alone."""
    count = len(patients)
    images = torch.zeros(3 * count, 1, 16, 16, dtype=torch.uint8)
    labels = torch.zeros(3 * count, 16, 16, dtype=torch.uint8)
    labels[:, 4:8, 4:8] = 1
    images[:3, 0][labels[:3] == 1] = 255
    geometry = SliceGeometry.__new__(SliceGeometry)
    volumes = torch.arange(count).repeat_interleave(3)
    entries = tuple(Entry(Path("a.nii"), Path("b.nii"), patient) for patient in patients)
    return SliceSet(images, labels, volumes, tuple(patients), entries, (geometry,) * count, ("CT",) * count)


def bright(image: torch.Tensor) -> torch.Tensor:
    """Logits of a model that takes what is bright for class 1."""
    return torch.cat([-image, image], dim=1)


@pytest.mark.parametrize("patients", [["ann", "bob"], ["ann", "ann"], ["ann", "ann", "ann (1)"]])
def test_every_scan_of_a_patient_counts(patients: list[str]) -> None:
    scores = patient_dice(bright, scans(patients), torch.device("cpu"), 2, 4)
    assert [round(dice, 6) for (dice,) in scores.values()] == [1.0] + [0.0] * (len(patients) - 1)
    assert summary(scores)["dice"] == round(1 / len(patients), 4)


def test_scans_of_one_patient_are_counted_in_the_record() -> None:
    assert scan_keys(["ann", "bob", "ann"]) == ["ann (1)", "bob", "ann (2)"]
    assert scan_keys(["ann", "ann (1)", "ann"]) == ["ann (2)", "ann (1)", "ann (3)"]


@given(st.lists(st.sampled_from(["a", "a (1)", "a (2)", "a (1) (1)", "b", ""])))
def test_no_two_scans_share_a_name_and_single_ones_keep_theirs(patients: list[str]) -> None:
    keys = scan_keys(patients)
    assert len(set(keys)) == len(patients)
    pairs = list(zip(keys, patients, strict=True))
    assert all(key.startswith(patient) for key, patient in pairs)
    assert all(key == patient for key, patient in pairs if patients.count(patient) == 1)


def test_an_organ_that_no_label_shows_is_null_in_the_record_and_nan_again_for_a_resumed_run(
    datalist: Path, tmp_path: Path
) -> None:
    settings = {**TINY, "channels": (8, 16, 16), "generated_fraction": 0.0, "num_classes": 5}
    train("student", datalist, tmp_path, steps=2, **settings)
    path = tmp_path / "student" / "record.json"
    record = strict(path.read_text())
    assert record["metrics"]["dice_4"] is None and record["metrics"]["dice_1"] is not None
    assert record["details"]["validation_dice"]["p3"][3] is None
    (tmp_path / "student" / "checkpoint.pt").unlink()
    (resumed,) = train("student", datalist, tmp_path, steps=2, resume=True, **settings)
    assert math.isnan(resumed.metrics["dice_4"]) and resumed.metrics["dice_1"] == record["metrics"]["dice_1"]
    assert strict(path.read_text())["history"] == json.loads(json.dumps(record["history"]))


def test_slices_packed_again_without_validation_keep_none_of_the_list_before(datalist: Path, tmp_path: Path) -> None:
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    packed = pack_slices(datalist, tmp_path, preprocessing)
    assert (packed / "validation").is_dir()
    content = json.loads(datalist.read_text())
    without = datalist.with_name("without_validation.json")
    without.write_text(json.dumps({"training": content["training"]}))
    packed = pack_slices(without, tmp_path, preprocessing)
    assert not (packed / "validation").exists()


def three_classes(names: tuple[tuple[int, str], ...] = (), labelled: tuple[str, ...] = ()) -> SliceSet:
    """Two scans whose labels show class 1 alone."""
    slices = scans(["ann", "bob"])
    entries = tuple(replace(entry, names=names, labelled=labelled) for entry in slices.entries)
    preprocessing = Preprocessing(size=16, num_classes=3)
    known = known_by_volume(entries, preprocessing)
    return replace(slices, entries=entries, preprocessing=preprocessing, known=known)


def finds_more(image: torch.Tensor) -> torch.Tensor:
    """Logits of a model that finds class 1 where it is, and a class 2 beside it."""
    label = torch.zeros(len(image), 16, 16, dtype=torch.long)
    label[:, 4:8, 4:8], label[:, 10:12, 10:12] = 1, 2
    return torch.nn.functional.one_hot(label, 3).movedim(-1, 1).float()


BOTH = ((1, "liver"), (2, "spleen"))


@pytest.mark.parametrize(
    ("names", "labelled", "dice"),
    [((), (), 1.0), (BOTH[:1], (), 1.0), (BOTH, ("liver",), 1.0), (BOTH, (), 0.5)],
    ids=["no names", "liver named", "liver labelled", "both named"],
)
def test_an_organ_found_where_there_is_none_counts_as_in_evaluate_and_an_unknown_one_does_not(
    names: tuple[tuple[int, str], ...], labelled: tuple[str, ...], dice: float
) -> None:
    slices = three_classes(names, labelled)
    logged = summary(patient_dice(finds_more, slices, torch.device("cpu"), 3, 4))
    assert (logged["dice_1"], logged["dice"]) == (1.0, dice)
    label = slices.labels[:3].numpy()
    found = finds_more(torch.zeros(3, 1, 16, 16)).argmax(1).numpy()
    scores = [
        PatientScore(entry.patient, "CT", score_entry(found, Volume(label, np.eye(4)), entry, dict(BOTH), False))
        for entry in slices.entries
    ]
    assert Study(tuple(scores), dict(BOTH)).dice["mean"] == dice


def test_a_missing_number_below_those_shown_is_an_organ_that_is_absent() -> None:
    """A removed right kidney in labels of liver, left kidney and spleen: finding one costs its Dice."""
    slices = three_classes()
    slices = replace(slices, labels=slices.labels * 2)
    assert summary(patient_dice(finds_more, slices, torch.device("cpu"), 3, 4))["dice_1"] == 0.0
