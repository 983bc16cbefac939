"""The slices with the lowest Dice are kept, at most two of a volume, and none for a few pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.run_page.worst_slices import APART, EACH, WorstSlices


@pytest.fixture
def slices(datalist: Path, tmp_path: Path) -> SliceSet:
    """Two labelled patients of eight slices and one without label; organs from the third slice on."""
    preprocessing = Preprocessing(size=32, pixel_mm=10.0, num_classes=3)
    return build_slice_set(load_datalist(datalist).training, preprocessing, tmp_path)


def watched(slices: SliceSet, predictions: torch.Tensor) -> WorstSlices:
    worst = WorstSlices(slices)
    for chunk in torch.arange(len(slices)).split(5):
        worst(chunk, predictions[chunk], slices.labels[chunk].long())
    return worst


def test_a_slice_that_is_missed_is_told_with_scan_number_and_dice(slices: SliceSet) -> None:
    predictions = torch.where(slices.labels == UNLABELLED, 0, slices.labels).long()
    predictions[12] = 0
    worst = watched(slices, predictions)
    assert worst.described()[0] == {"scan": "p1", "slice": 5, "dice": 0.0}
    assert all(one["dice"] == 1.0 for one in worst.described()[1:])


def test_a_volume_shows_two_slices_at_most_and_unlabelled_ones_none(slices: SliceSet) -> None:
    worst = watched(slices, torch.zeros_like(slices.labels).long())
    scans = [one["scan"] for one in worst.described()]
    assert sorted(scans) == ["p0"] * EACH + ["p1"] * EACH
    numbers = sorted(one["slice"] for one in worst.described() if one["scan"] == "p0")
    assert numbers[1] - numbers[0] >= APART, "neighbours look alike"


def test_the_picture_has_a_column_for_each_and_rows_of_image_reference_and_prediction(slices: SliceSet) -> None:
    picture = watched(slices, torch.zeros_like(slices.labels).long()).picture()
    assert picture is not None and picture.shape == (3 * 34, 4 * 32, 3)
    image, reference, prediction = picture[:32], picture[34:66], picture[68:100]
    assert (image != reference).any() and (image == prediction).all(), "nothing was found there"


def test_without_organs_there_is_no_picture(slices: SliceSet) -> None:
    worst = WorstSlices(slices)
    worst(torch.tensor([0]), torch.zeros(1, 32, 32).long(), torch.zeros(1, 32, 32).long())
    assert worst.picture() is None and worst.described() == []
