"""Two evaluations are compared scan by scan, and it is always clear which is which."""

from __future__ import annotations

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.comparison import compare, comparison_table, other_references, pairs_of
from monai_semgan.evaluation.metrics import OrganScore
from monai_semgan.evaluation.study import PatientScore, Study


def study(*dice: float, first: int = 0) -> Study:
    scores = [PatientScore(str(i), organs={"liver": OrganScore(d, 1.0, 1.0, 1.0)}) for i, d in enumerate(dice, first)]
    return Study(tuple(scores), {1: "liver"})


def test_a_steady_gain_over_eight_patients_is_significant() -> None:
    better = [0.5 + 0.01 * i for i in range(8)]
    liver, mean = compare(study(*[v + 0.1 + 0.001 * i for i, v in enumerate(better)]), study(*better))
    assert liver.pairs == 8 and liver.p_value < 0.05 and 0.1 <= liver.low <= liver.mean <= liver.high
    assert mean.mean == pytest.approx(liver.mean)


def test_no_difference_is_not_significant() -> None:
    liver, _ = compare(study(*[0.5] * 8), study(*[0.5] * 8))
    assert liver.p_value == 1 and liver.mean == 0


def test_other_patients_cannot_be_compared() -> None:
    with pytest.raises(SemganError, match="no patient in common"):
        compare(study(0.5), study(0.5, first=9))


def scores(*told: tuple[str, str, float], ml: float = 1.0) -> Study:
    return Study(
        tuple(PatientScore(p, organs={"liver": OrganScore(d, 1.0, ml, 1.0)}, name=n) for n, p, d in told), {1: "liver"}
    )


def names(study: Study, other: Study) -> list[tuple[str, str]]:
    return [(one.key, two.key) for one, two in pairs_of(study, other)]


def test_two_scans_of_one_patient_both_count() -> None:
    study, other = scores(("a", "p", 0.9), ("b", "p", 0.8)), scores(("b", "p", 0.5), ("a", "p", 0.4))
    assert names(study, other) == [("a", "a"), ("b", "b")]
    liver, _ = compare(study, other)
    assert liver.pairs == 2 and liver.mean == pytest.approx(0.4)


def test_files_of_earlier_versions_and_other_lists_are_matched_by_patient_where_that_is_clear() -> None:
    earlier, study = scores(("", "ann", 0.5), ("", "bea", 0.4)), scores(("x", "bea", 0.9), ("y", "ann", 0.8))
    assert names(study, earlier) == [("x", "bea"), ("y", "ann")]
    assert names(scores(("a", "p", 0.9), ("b", "q", 0.8)), scores(("a", "q", 0.1), ("c", "q", 0.2))) == [
        ("a", "a"),
        ("b", "c"),
    ]


@pytest.mark.parametrize("swap", [False, True])
def test_two_scans_of_one_patient_without_names_are_refused(swap: bool) -> None:
    studies = scores(("a", "p", 0.9), ("b", "p", 0.8)), scores(("", "p", 0.5), ("", "p", 0.4))
    with pytest.raises(SemganError, match="2 scans of p: which is which cannot be told; evaluate the same data list"):
        compare(*(studies[::-1] if swap else studies))


def test_labels_that_changed_between_two_evaluations_are_told() -> None:
    study, other = scores(("a", "p", 0.9)), scores(("a", "p", 0.9), ml=1.5)
    assert other_references(study, other) == ["a (p)"] and other_references(study, study) == []
    assert "labels differ between the two evaluations, or the scans do: a (p)" in comparison_table(
        compare(study, other), other_references(study, other)
    )
