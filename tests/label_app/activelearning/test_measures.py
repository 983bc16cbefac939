"""Disagreement of two segmentations."""

from __future__ import annotations

import numpy as np
import pytest

from monai_semgan.label_app.activelearning.measures import disagreement


def box(index: int, *corner: int, size: int = 4) -> np.ndarray:
    """A cube of one organ in a volume that is not one."""
    label = np.zeros((12, 10, 8), np.uint8)
    i, j, k = corner
    label[i : i + size, j : j + size, k : k + size] = index
    return label


def test_it_is_nothing_for_the_same_and_one_for_nothing_in_common() -> None:
    one = box(1, 0, 0, 0) + box(2, 6, 5, 3)
    assert disagreement(one, one, [1, 2]) == 0
    assert disagreement(one, np.roll(one, 6, 0), [1]) == 1


def test_an_organ_that_only_one_of_them_shows_is_full_disagreement_and_one_that_none_shows_counts_not() -> None:
    one, other = box(1, 0, 0, 0) + box(2, 6, 5, 3), box(1, 0, 0, 0)
    assert disagreement(one, other, [1, 2, 3]) == pytest.approx(0.5)
    assert disagreement(one, other, [3]) == 0


def test_it_grows_with_the_distance() -> None:
    found = [disagreement(box(1, 0, 0, 0), box(1, shift, 0, 0), [1]) for shift in range(5)]
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
