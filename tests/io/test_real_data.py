"""The CT and MR volumes under $SEMGAN_DATA go through reading, slicing and back."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import organ_dice

DATA = Path(os.environ.get("SEMGAN_DATA", ""))

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("SEMGAN_DATA"), reason="SEMGAN_DATA is not set"),
]


@pytest.mark.parametrize(("name", "modality"), [("abdomen_ct/{}/ct_00", "CT"), ("abdomen_mr_t2/{}/mr_02", "MR")])
def test_labels_come_back_to_the_native_grid(name: str, modality: str, tmp_path: Path) -> None:
    volume = read_volume(DATA / (name.format("images") + ".nii.gz"))
    label = read_label(DATA / (name.format("labels") + ".nii.gz"), volume)
    preprocessing = Preprocessing()
    prepared = preprocessing(volume)
    assert prepared.modality == modality and not prepared.notes
    assert prepared.image.shape == (volume.array.shape[2], 1, 128, 128)
    slices = preprocessing.label_slices(label.array, prepared.geometry)
    scores = torch.nn.functional.one_hot(slices.long(), 5).permute(0, 3, 1, 2).float()
    back = prepared.geometry.restore_label(scores)
    assert organ_dice(back, np.where(label.array < 5, label.array, 0)) > 0.97
    written = read_label(write_label(back, volume, tmp_path / "label.nii.gz"), volume)
    assert np.array_equal(written.array, back)


def test_pixels_grow_for_the_widest_patient() -> None:
    prepared = Preprocessing()(read_volume(DATA / "abdomen_ct/images/ct_27.nii.gz"))
    assert prepared.geometry.enlarged and "pixels of 3." in prepared.notes[0]


def test_every_modality_is_guessed_right() -> None:
    from monai_semgan.modalities import guess_modality

    paths = sorted(DATA.glob("abdomen_*/images/*.nii.gz"))[::4]
    assert all(guess_modality(read_volume(p).array) == ("CT" if p.name.startswith("ct") else "MR") for p in paths)
