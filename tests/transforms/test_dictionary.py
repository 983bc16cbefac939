"""The chain of dictionary transforms does what the preprocessing of the command line does, and can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd

from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.encoding import encode
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import (
    ExtractSlicesd,
    LoadVolumed,
    NormaliseIntensityd,
    PlanSlicesd,
    training_transforms,
)
from tests.conftest import SHIPPED_BUNDLE
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient, save_nifti, save_patient

SMALL = Preprocessing(size=48, pixel_mm=7.5)


def chain(preprocessing: Preprocessing = SMALL) -> Compose:
    """From a path to slices."""
    steps = (LoadVolumed("image"), PlanSlicesd("image", preprocessing))
    return Compose([*steps, NormaliseIntensityd("image"), ExtractSlicesd("image")])


def save(folder: Path, modality: str = "CT", **where: Any) -> Path:
    affine, shape = grid((6.0, 7.0, 9.0), **where)
    return save_nifti(folder / "scan.nii.gz", patient(affine, shape, modality, seed=0).array, affine)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("where", [{"codes": "PSR"}, {"codes": "LPI", "degrees": (0, 4, 7)}, {"degrees": (35, 0, 0)}])
def test_every_pixel_is_that_of_the_command_line(tmp_path: Path, modality: str, where: dict[str, Any]) -> None:
    path = save(tmp_path, modality, **where)
    image = chain()({"image": str(path)})["image"]
    expected = SMALL(read_volume(path))
    assert image.meta["modality"] == modality == expected.modality
    np.testing.assert_array_equal(image.as_tensor().permute(3, 0, 1, 2), expected.image)
    np.testing.assert_allclose(image.affine, expected.geometry.grid_affine)
    assert float(image.std()) > 0.1 and float(image.min()) == pytest.approx(-1.0, abs=1e-5)


def test_a_dicom_series_and_a_tensor_go_the_same_way(tmp_path: Path) -> None:
    affine, shape = grid((8.0, 8.0, 12.0))
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", datasets(patient(affine, shape, seed=0).array, affine))
    volume = read_volume(tmp_path / "series")
    tensor = MetaTensor(torch.from_numpy(volume.array.copy())[None], affine=torch.from_numpy(volume.affine))
    expected = SMALL(volume).image
    for scan in (str(tmp_path / "series"), tensor):
        found = chain()({"image": scan})["image"]
        np.testing.assert_array_equal(found.as_tensor().permute(3, 0, 1, 2), expected)


def test_a_radiograph_is_fitted_as_a_whole(tmp_path: Path) -> None:
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 255, (90, 60), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "chest.png")
    whole = Preprocessing(size=32, field_of_view="image")
    found = chain(whole)({"image": str(tmp_path / "chest.png")})["image"]
    np.testing.assert_array_equal(
        found.as_tensor().permute(3, 0, 1, 2), whole(read_volume(tmp_path / "chest.png")).image
    )


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_inverse_brings_the_scan_back_to_its_grid_and_its_units(tmp_path: Path, modality: str) -> None:
    path = save(tmp_path, modality, codes="PSR", degrees=(0.0, 4.0, 7.0))
    transforms, scan = chain(Preprocessing(size=64, pixel_mm=5.5)), read_volume(path)
    image = transforms({"image": str(path)})["image"]
    back = transforms.inverse({"image": image})["image"]
    assert back.shape == (1, *scan.array.shape)
    np.testing.assert_allclose(back.affine, scan.affine, atol=1e-5)
    low, high = json.loads(image.meta["value_range"])
    difference = np.abs(back[0].numpy() - np.clip(scan.array, low, high)) / (high - low)
    assert np.median(difference) < 0.05 and back.max() <= high + 1e-3


def test_monais_invertd_brings_a_map_on_the_slices_to_the_scan(tmp_path: Path) -> None:
    path = save(tmp_path, codes="ARI")
    transforms, scan = chain(), read_volume(path)
    loader = DataLoader(Dataset([{"image": str(path)}], transforms), batch_size=1)
    item = decollate_batch(next(iter(loader)))[0]
    item["pred"] = MetaTensor(torch.stack([item["image"][0], -item["image"][0]]))
    invert = Invertd("pred", transforms, orig_keys="image", nearest_interp=False, to_tensor=False)
    pred = invert(item)["pred"]
    assert pred.shape == (2, *scan.array.shape)
    expected = transforms.inverse({"image": transforms({"image": str(path)})["image"]})["image"]
    np.testing.assert_allclose(pred[0], expected[0], atol=1e-3)


def test_training_gets_eight_bits_and_classes(tmp_path: Path) -> None:
    entry = save_patient(tmp_path, "a")
    item = {key: str(tmp_path / entry[key]) for key in ("image", "label")}
    found = training_transforms(SMALL)(item)
    volume = read_volume(item["image"])
    expected = SMALL(volume)
    assert torch.equal(found["image"], encode(expected.image)) and type(found["image"]) is torch.Tensor
    label = SMALL.label_slices(read_label(item["label"], volume).array, expected.geometry)
    assert torch.equal(found["label"], label) and type(found["label"]) is torch.Tensor
    assert set(label.unique().tolist()) == {0, 1, 2, 3, 4}
    without = training_transforms(SMALL)({"image": item["image"]})
    assert without["label"].shape == label.shape and bool((without["label"] == UNLABELLED).all())


def test_the_shipped_configurations_spell_out_the_chain_of_the_command_line() -> None:
    for name in ("train_gan", "train", "train_student"):
        parser = ConfigParser(json.loads((SHIPPED_BUNDLE / "configs" / f"{name}.json").read_text()))
        listed = parser.get_parsed_content("train::preprocessing").transforms
        usual = training_transforms(parser.get_parsed_content("slices")).transforms
        assert [(type(a), vars(a)) for a in listed] == [(type(b), vars(b)) for b in usual]
    content = json.loads((SHIPPED_BUNDLE / "configs" / "inference.json").read_text())
    listed = ConfigParser(content).get_parsed_content("preprocessing").transforms
    assert [type(one) for one in listed] == [type(one) for one in chain().transforms]
