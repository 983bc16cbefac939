"""What counts in a Dice score, for the training and for an evaluation alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_semgan.quality.overlap import beyond_labels, dice, means_by_organ, overall


def test_an_organ_found_where_there_is_none_is_zero_and_one_that_is_nowhere_is_left_out() -> None:
    something, nothing = np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    assert dice(something, nothing) == 0.0 and dice(nothing, something) == 0.0
    assert math.isnan(dice(nothing, nothing))
    means = means_by_organ([{"liver": 1.0, "spleen": dice(nothing, nothing)}, {"liver": 0.0}])
    assert means == {"liver": 0.5} and overall(means) == 0.5


def test_rare_organs_count_like_others() -> None:
    scans = [{"liver": 1.0, "spleen": math.nan}, {"liver": 1.0, "spleen": math.nan}, {"liver": 1.0, "spleen": 0.0}]
    assert overall(means_by_organ(scans)) == pytest.approx(0.5)
    assert math.isnan(overall({}))


@pytest.mark.parametrize(("shown", "unknown"), [({1}, {2, 3, 4}), ({1, 2, 4}, set()), ({2, 3}, {4}), (set(), set())])
def test_references_without_names_do_not_know_what_is_numbered_above_all_that_they_show(
    shown: set[int], unknown: set[int]
) -> None:
    assert beyond_labels([1, 2, 3, 4], shown) == unknown
