from __future__ import annotations

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.comparison import compare
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
