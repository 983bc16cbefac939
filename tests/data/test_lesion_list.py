"""The example that makes a data list of ISIC's and PH2's folders, and what becomes of such a list."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.run_plan import field_of_view, image_channels
from tests.conftest import REPOSITORY
from tests.skin_lesions import write_isic, write_ph2

SCRIPT = REPOSITORY / "examples" / "lesion_list.py"


def make(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Path:
    """Run the example as its user does; the list."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder), "list.json", *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return folder / "list.json"


def isic(folder: Path) -> Path:
    """As ISIC 2018: pictures in one folder, masks and superpixels in others; two pictures have no mask."""
    pictures = write_isic(folder / "Training_Input", 8)
    truth = folder / "Training_GroundTruth"
    truth.mkdir()
    for mask in sorted(pictures.glob("*_segmentation.png"))[:6]:
        mask.rename(truth / mask.name)
    for mask in pictures.glob("*_segmentation.png"):
        mask.unlink()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(pictures / "ISIC_0000000_superpixels.png")
    return folder


def ph2(folder: Path) -> Path:
    """As PH2, with a region of one colour beside a mask."""
    write_ph2(folder, 8)
    regions = folder / "IMD002" / "IMD002_roi"
    regions.mkdir()
    Image.fromarray(np.zeros((9, 9), bool)).save(regions / "IMD002_R1_Label4.bmp")
    return folder


@pytest.mark.parametrize(("layout", "labelled", "unlabelled", "value"), [(isic, 2, 2, 255), (ph2, 4, 0, 1)])
def test_every_lesion_is_found_with_its_mask(
    layout, labelled: int, unlabelled: int, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    path = make(monkeypatch, layout(tmp_path), "--validation", "2", "--test", "2")
    entries = load_datalist(path)
    assert [len(entries.training), len(entries.validation), len(entries.test)] == [labelled + unlabelled, 2, 2]
    assert sum(entry.label is not None for entry in entries.training) == labelled
    assert json.loads(path.read_text())["labels"] == {str(value): "skin lesion"}
    assert field_of_view(path) == "image" and image_channels(entries) == 3
    settings = Preprocessing(size=32, num_classes=2, label_ids=(value,), field_of_view="image", image_channels=3)
    slices = build_slice_set(entries.validation, settings)
    assert slices.images.shape == (2, 3, 32, 32) and slices.modalities == ("XC", "XC")
    assert all((slices.labels[i] == 1).float().mean() > 0.02 for i in range(2)), "the lesion is seen in every picture"


def test_only_so_many_masks_are_kept_as_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(monkeypatch, ph2(tmp_path), "--validation", "2", "--test", "2", "--labelled", "1")
    assert sum(entry.label is not None for entry in load_datalist(path).training) == 1
    with pytest.raises(SystemExit, match="8 lesions with masks, too few"):
        make(monkeypatch, tmp_path, "--test", "9")


def test_a_list_of_grey_pictures_has_one_channel_however_they_are_stored(tmp_path: Path) -> None:
    items = []
    for number, mode in enumerate(("L", "RGB", "P")):
        grey = np.random.default_rng(number).integers(0, 255, (9, 9)).astype(np.uint8)
        Image.fromarray(grey).convert(mode).save(tmp_path / f"{number}.png")
        items.append({"image": f"{number}.png"})
    (tmp_path / "list.json").write_text(json.dumps({"training": items}))
    assert image_channels(load_datalist(tmp_path / "list.json")) == 1
