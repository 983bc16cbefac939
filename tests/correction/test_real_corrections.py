"""Corrections of a real scan by the shipped model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_semgan.bundle.load import load_bundle
from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.correction.corrector import Corrector
from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.quality.overlap import dice
from tests.conftest import SHIPPED_BUNDLE

LIVER = 1


@pytest.mark.real_data
@pytest.mark.parametrize("positive", [True, False])
def test_one_stroke_mends_more_than_its_own_slice(data_folder: Path, positive: bool) -> None:
    volume = read_volume(data_folder / "abdomen_ct" / "images" / "ct_27.nii.gz")
    reference = read_label(data_folder / "abdomen_ct" / "labels" / "ct_27.nii.gz", volume).array == LIVER
    label = reference.astype(np.uint8)
    i, j, k = np.argwhere(reference).mean(axis=0).astype(int)
    part = label[i + 8 :, :, k - 4 : k + 5]  # half of the liver is lost in nine slices, or what lies beside it is taken
    if positive:
        part[:] = 0
        middle = np.argwhere(reference[i + 8 :, :, k]).mean(axis=0).astype(int) + [i + 8, 0]
    else:
        beside = label[:, :, k - 4 : k + 5]
        grown = np.zeros_like(reference)
        grown[i - 60 : i - 20, j - 10 : j + 30, k - 4 : k + 5] = True
        beside[(grown & ~reference)[:, :, k - 4 : k + 5]] = LIVER
        middle = np.argwhere((grown & ~reference)[:, :, k]).mean(axis=0).astype(int)
    stroke = Stroke(LIVER, np.array([[middle[0] + step, middle[1], k] for step in range(-4, 5)]), positive)
    before = dice(label == LIVER, reference)
    found = Corrector(load_bundle(SHIPPED_BUNDLE, "cpu"), volume, label, modality="CT").correct(
        [stroke], CorrectionSettings(reach_mm=30)
    )
    after = dice(found.label == LIVER, reference)
    assert len(found.slices) > 3
    assert after - before > 0.4 * (1 - before)
