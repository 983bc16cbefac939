"""Scores of a patient, whatever ids the label file uses."""

from __future__ import annotations

import numpy as np

from monai_semgan.evaluation.study import score_labels
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.preprocessing import Preprocessing


def test_ids_of_label_files_that_differ_from_the_classes_are_understood() -> None:
    label = np.zeros((4, 4, 4), np.uint8)
    label[:2], label[3] = 1, 2
    stored = np.choose(label, [0, 6, 1]).astype(np.uint8)
    stored[2] = 9  # something the model does not know
    preprocessing = Preprocessing(num_classes=3, label_ids=(6, 1))
    names = {1: "liver", 2: "spleen"}
    scores = score_labels(label, Volume(stored, np.eye(4)), names, False, preprocessing)
    assert {name: score.dice for name, score in scores.items()} == {"liver": 1.0, "spleen": 1.0}
