"""Pictures in colours go through the transforms of a bundle as through `Preprocessing`, and come back as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, decollate_batch
from monai.transforms import Compose
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.slicing.encoding import decode
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import (
    ExtractSlicesd,
    LoadVolumed,
    NormaliseIntensityd,
    PlanSlicesd,
    training_transforms,
)
from monai_semgan.transforms.restoring import RestoreLabeld, RestoreMapsd
from monai_semgan.transforms.saving import SaveImageOnScand
from tests.skin_lesions import SIZE, write_isic

COLOURS = Preprocessing(size=32, num_classes=2, label_ids=(255,), field_of_view="image", image_channels=3)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write_isic(tmp_path / "isic", 1) / "ISIC_0000000.jpg"


def loaded(path: Path) -> dict[str, Any]:
    """An item as it leaves a data loader."""
    steps = [LoadVolumed("image"), PlanSlicesd("image", COLOURS), NormaliseIntensityd("image"), ExtractSlicesd("image")]
    (item,) = decollate_batch(next(iter(DataLoader(Dataset([{"image": str(path)}], Compose(steps)), batch_size=1))))
    return item


def test_the_chain_gives_what_preprocessing_gives_at_once(picture: Path) -> None:
    image = loaded(picture)["image"]
    assert image.shape == (3, 32, 32, 1) and image.meta["modality"] == "XC"
    assert torch.equal(image.as_tensor().permute(3, 0, 1, 2), COLOURS(read_volume(picture)).image)


def test_training_keeps_three_bytes_a_pixel(picture: Path) -> None:
    mask = picture.with_name("ISIC_0000000_segmentation.png")
    item = training_transforms(COLOURS)({"image": str(picture), "label": str(mask)})
    assert item["image"].shape == (1, 3, 32, 32) and item["image"].dtype == torch.uint8
    assert (decode(item["image"]) - COLOURS(read_volume(picture)).image).abs().max() < 1 / 127
    assert set(item["label"].unique().tolist()) == {0, 1}, "0 and 255 are background and lesion"


def test_labels_and_renderings_are_saved_as_pictures_on_the_pixels_of_the_input(picture: Path, tmp_path: Path) -> None:
    item = loaded(picture)
    scores = torch.zeros(2, 32, 32, 1)
    scores[1, 10:20, 12:22] = 1
    maps = {"seg": scores, "uncertainty": scores[1:], "recon": item["image"].as_tensor(), "residual": scores[1:]}
    item = RestoreLabeld("pred", {1: "lesion"}, single=True)(RestoreMapsd("pred")({**item, "pred": maps}))
    for key, dtype, ending in (
        ("pred", np.uint8, ".png"),
        ("reconstruction", np.uint8, ".png"),
        ("reconstruction", np.float32, ".nii.gz"),
        ("residual", np.float32, ".nii.gz"),
    ):
        options = {"output_postfix": key, "output_ext": ending, "output_dtype": dtype}
        SaveImageOnScand(key, tmp_path / "out", **options)(item)
    with Image.open(tmp_path / "out" / "ISIC_0000000_pred.png") as mask:
        assert mask.size == SIZE[::-1] and set(np.unique(np.asarray(mask))) == {0, 1}
    with Image.open(tmp_path / "out" / "ISIC_0000000_reconstruction.png") as rendered, Image.open(picture) as wanted:
        apart = np.abs(np.asarray(rendered, dtype=float) - np.asarray(wanted, dtype=float))
        assert rendered.mode == "RGB" and apart.mean() < 12, "the picture itself, through 32 x 32 pixels"
    for name in ("reconstruction", "residual"):
        assert read_volume(tmp_path / "out" / f"ISIC_0000000_{name}.nii.gz").array.shape == (*SIZE[::-1], 1)


def test_a_volume_is_not_saved_as_a_picture(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=r"'.png' cannot be written"):
        SaveImageOnScand("pred", tmp_path, output_ext=".png", output_dtype=np.float32)
