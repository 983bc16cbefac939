"""Where a list names no validation, some labelled patients are held out, the same ones every time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.data.datalist import DataList, Entry
from monai_semgan.data.splits import Choice, Fold, with_validation
from monai_semgan.errors import SemganError


def scans(patient: str, count: int = 1, label: bool = True) -> list[Entry]:
    labels = [Path(f"{patient}_{n}_label.nii.gz") if label else None for n in range(count)]
    return [Entry(Path(f"{patient}_{n}.nii.gz"), found, patient) for n, found in enumerate(labels)]


def training(labelled: int, unlabelled: int = 0) -> DataList:
    entries = [entry for n in range(labelled) for entry in scans(f"p{n}", 1 + n % 2)]
    return DataList(training=(*entries, *(entry for n in range(unlabelled) for entry in scans(f"u{n}", label=False))))


def patients(entries: tuple[Entry, ...]) -> set[str]:
    return {entry.patient for entry in entries}


@pytest.mark.parametrize(("labelled", "held_out"), [(0, 0), (2, 0), (3, 1), (7, 1), (8, 2), (24, 5), (400, 20)])
def test_a_fifth_of_the_labelled_patients_is_held_out_and_told(labelled: int, held_out: int) -> None:
    split = with_validation(training(labelled, unlabelled=30))
    assert len(patients(split.validation)) == held_out
    assert len(split.training) + len(split.validation) == len(training(labelled, unlabelled=30).training)
    assert not patients(split.training) & patients(split.validation)
    assert all(entry.label for entry in split.validation)
    assert ("no validation" in split.notes[0]) == (held_out == 0)
    if held_out == 1:
        assert split.validation[0].patient in split.notes[0]


def test_unlabelled_scans_of_a_patient_who_is_held_out_go_with_him() -> None:
    whole = training(3)
    alone = with_validation(whole).validation
    (patient,) = patients(alone)
    more = DataList(training=(*whole.training, Entry(Path("more.nii.gz"), None, patient)))
    split = with_validation(more)
    assert patient not in patients(split.training) and len(split.validation) == len(alone) + 1


@given(st.permutations(range(9)))
def test_the_order_of_the_list_does_not_matter(order: list[int]) -> None:
    whole = training(9).training
    groups = [[entry for entry in whole if entry.patient == f"p{n}"] for n in range(9)]
    shuffled = DataList(training=tuple(entry for n in order for entry in groups[n]))
    assert patients(with_validation(shuffled).validation) == patients(with_validation(training(9)).validation)


@given(st.integers(2, 7), st.integers(7, 30))
def test_folds_share_no_patient_and_are_of_one_size(count: int, labelled: int) -> None:
    whole = training(labelled, unlabelled=2)
    folds = [patients(with_validation(whole, Choice(Fold(n + 1, count))).validation) for n in range(count)]
    assert sorted(name for fold in folds for name in fold) == sorted(f"p{n}" for n in range(labelled))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_a_validation_of_the_list_stays_and_contradicts_a_fold() -> None:
    own = DataList(training=training(5).training, validation=tuple(scans("v")))
    assert with_validation(own) is own
    with pytest.raises(SemganError, match='has a "validation" of its own beside the fold 2/5'):
        with_validation(own, Choice(Fold(2, 5)))


def test_a_validation_without_labels_is_no_validation() -> None:
    split = with_validation(DataList(training=training(5).training, validation=tuple(scans("v", label=False))))
    assert len(patients(split.validation) - {"v"}) == 1
    assert split.notes[0].startswith('no entry of "validation" has a label')


def test_a_run_that_was_begun_keeps_its_validation() -> None:
    assert with_validation(training(9), Choice(keep=[])).validation == ()
    assert patients(with_validation(training(9), Choice(keep=["p3"])).validation) == {"p3"}


@pytest.mark.parametrize("text", ["2", "0/5", "6/5", "1/1", "a/b", "1/5/2", "-1/5"])
def test_what_is_no_fold_is_refused(text: str) -> None:
    with pytest.raises(SemganError, match="fold.*; give for example 2/5"):
        Fold.parse(text)


def test_more_folds_than_labelled_patients_are_refused() -> None:
    with pytest.raises(SemganError, match="has 3 labelled patients, too few for 5 folds"):
        with_validation(training(3), Choice(Fold.parse("1/5")))
