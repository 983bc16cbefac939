"""The clean-up keeps what belongs to a structure by its anatomy."""

from __future__ import annotations

import numpy as np
import torch

from monai_semgan.io.volume import Volume
from monai_semgan.slicing.postprocessing import clean_label, label_on_grid
from monai_semgan.slicing.preprocessing import Preprocessing


def test_clean_up_keeps_as_many_pieces_as_a_structure_has() -> None:
    label = np.zeros((30, 10, 10), np.uint8)
    for index in (1, 2, 3):  # pieces of 64, 48, 32 and 4 voxels
        rows = slice(3 * index - 3, 3 * index - 1)
        label[rows, :2, :], label[rows, 3:5, :6], label[rows, 6:8, :4], label[rows, 9, 9:] = (index,) * 4
        label[rows.start, :2, :8] = index
    voxels = [int((clean_label(label, 0.1, pieces=pieces) == 1).sum()) for pieces in ({}, {1: 2}, {1: 3}, {1: None})]
    assert voxels[0] < voxels[1] < voxels[2] == voxels[3], "the last piece is a speck"
    assert (clean_label(label, 0.1, pieces={1: None}, min_ml=0.0) == 1).sum() == (label == 1).sum()
    assert not clean_label(label, 0.1, pieces={1: None}, min_ml={1: 9.0, 2: 0.3})[label == 1].any()


def test_the_pieces_of_a_vessel_stay_and_those_of_an_organ_go() -> None:
    volume = Volume(np.zeros((40, 40, 12), np.float32), np.diag([-5.0, 5.0, 10.0, 1.0]))
    prepared = Preprocessing(size=32, pixel_mm=8.0, num_classes=3)(volume, "MR")
    scores = torch.zeros(len(prepared.image), 3, *prepared.image.shape[-2:])
    scores[:, 0] = 0.5
    rows = scores.shape[-1] // 4
    for index in (1, 2):  # whole but for the slices in the middle
        scores[:, index, :, (2 * index - 1) * rows : 2 * index * rows] = 1.0
    scores[5:7, 1:] = 0.0
    label = label_on_grid(prepared.geometry, scores, {1: "liver", 2: "portal vein and splenic vein"})
    slices = [np.flatnonzero((label == index).any((0, 1))) for index in (1, 2)]
    assert np.ptp(slices[0]) < 6 < np.ptp(slices[1])
