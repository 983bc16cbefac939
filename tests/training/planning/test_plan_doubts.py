"""What a plan doubts about the data, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.data.datalist import Entry
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.planning.decided_classes import describe_classes
from monai_semgan.training.planning.doubts import Evidence, find_doubts
from monai_semgan.training.planning.plan_pictures import histogram_svg
from monai_semgan.training.planning.scan_look import ScanLook, look_at
from monai_semgan.training.planning.survey import Survey
from tests.phantoms import save_nifti
from tests.training.planning.looks import liver, scan

NAMES = {1: "liver", 2: "spleen"}
PEOPLE = [
    scan(f"p{number}", labels={1: liver(), 2: liver(ml=200.0, middle_mm=(-80.0, 0.0, 0.0))}) for number in range(6)
]


def doubts(scans: list[ScanLook], names: dict[int, str] | None = None, validation: tuple[str, ...] = ("val",)) -> str:
    """All doubts, one a line."""
    names = NAMES if names is None else names
    survey = Survey(tuple(scans), names)
    classes = describe_classes(names, tuple(names), survey.labelled)
    settings = Preprocessing(num_classes=len(names) + 1)
    return "\n".join(find_doubts(Evidence(survey, classes, settings, "axial", validation)))


def changed(number: int, **changes: object) -> list[ScanLook]:
    """The people, one of them otherwise."""
    return [replace(one, **changes) if index == number else one for index, one in enumerate(PEOPLE)]  # type: ignore[arg-type]


def test_good_data_give_no_cause_to_doubt() -> None:
    assert doubts(PEOPLE) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": "p0", "section": "test"}, "p0 and p2 are the same image"),
        ({"modality": "MR"}, "mixes modalities (5 CT, 1 MR)"),
        ({"guessed": True}, "modality of 1 scans (p2)"),
        ({"labels": {1: liver(ml=5.0)}}, "the labels of p2 are empty, or nearly so"),
        ({"spacing_mm": (4.0, 4.0, 5.0)}, "p2: pixels in mm 4, the others about 1.5"),
        ({"spacing_mm": (1.5, 1.5, 1.0)}, "p2: slice distance in mm 1, the others about 5"),
        ({"body_mm": (80.0, 60.0, 500.0)}, "p2: body width in mm 80"),
        ({"histogram_range": (0.0, 255.0)}, "p2: range of grey values 255, the others about 2000"),
        ({"constant_share": 0.97}, "more than 90% of p2 has one and the same grey value"),
        ({"doubts": ("it is no CT.",)}, "p2: it is no CT."),
    ],
)
def test_one_scan_unlike_the_others_is_told_by_name(changes: dict[str, object], words: str) -> None:
    assert words in doubts(changed(2, **changes))


def test_a_mirrored_label_is_told() -> None:
    mirrored = {1: liver(middle_mm=(-60.0, 0.0, 0.0)), 2: liver(ml=200.0, middle_mm=(80.0, 0.0, 0.0))}
    found = doubts(changed(4, labels=mirrored))
    assert "liver on the patient's left of spleen, in p4: are the sides" in found


def test_sides_of_a_pair_that_are_mixed_up_are_told() -> None:
    sides = {1: liver(ml=150.0, middle_mm=(-50.0, 0.0, 0.0)), 2: liver(ml=150.0, middle_mm=(50.0, 0.0, 0.0))}
    people = [replace(one, labels=sides) for one in PEOPLE]
    assert "p0, p1, p2, p3 and 2 more" in doubts(people, {1: "right kidney", 2: "left kidney"})
    assert doubts(people, {1: "left kidney", 2: "right kidney"}) == ""


def test_ids_without_a_name_are_told_with_what_to_write() -> None:
    assert 'nothing names the ids 2: give "labels": {"2": "..."}' in doubts(PEOPLE, {1: "liver", 2: "label 2"})


def test_a_structure_smaller_than_two_pixels_is_told() -> None:
    tiny = {1: liver(), 2: liver(voxels=20, ml=0.2, slices=(5, 5, 5), middle_mm=(-80.0, 0.0, 0.0))}
    assert "spleen is 1.1 pixels wide in a slice of 128" in doubts([replace(one, labels=tiny) for one in PEOPLE])


def test_volumes_that_no_adult_has_are_told() -> None:
    huge = {1: liver(ml=9000.0), 2: liver(ml=200.0, middle_mm=(-80.0, 0.0, 0.0))}
    assert "liver has 9000 ml on average" in doubts([replace(one, labels=huge) for one in PEOPLE])


def test_few_labels_and_no_validation_are_told() -> None:
    found = doubts(PEOPLE[:2], validation=())
    assert "only 1 training patient is labelled" in doubts(PEOPLE[:1])
    assert "only 2 training patients are labelled" in found and "no labelled scan is left for validation" in found


def test_a_ct_that_cannot_be_in_hu_is_doubted_without_words_on_a_window(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(100, 900, (16, 16, 8))
    path = save_nifti(tmp_path / "ann.nii.gz", values)
    doubt, *others = look_at(Entry(path, None, "ann", "CT"), "training").doubts
    assert not others and doubt.startswith("No value of this CT is as low as fat or air (")
    assert doubt.endswith("it is no CT, or not in HU.")


@pytest.mark.parametrize(("scans", "curves"), [(1, 1), (40, 40), (41, 21), (79, 40), (400, 40)])
def test_a_histogram_has_as_many_curves_as_can_be_told_apart(scans: int, curves: int) -> None:
    drawn = histogram_svg([scan(f"p{number}") for number in range(scans)], (-100.0, 300.0), (1.0, 99.0))
    assert drawn.count("<polyline") == curves
