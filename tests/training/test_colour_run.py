"""Pictures in colours all the way: list, training of the three stages, bundle, mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.slicing.model_settings import find_settings
from tests.skin_lesions import SIZE, write_isic
from tests.training.phantoms import train

TINY = {"size": 32, "device": "cpu", "tensorboard": False, "validations": 1, "mixed_precision": False, "steps": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all stages on six lesions, two of them without mask."""
    folder = tmp_path_factory.mktemp("lesions")
    names = sorted(path.stem for path in write_isic(folder, 8).glob("*.jpg"))
    entries = [{"image": f"{name}.jpg", "label": f"{name}_segmentation.png"} for name in names]
    for entry in entries[4:6]:
        del entry["label"]
    content = {"labels": {"255": "skin lesion"}, "training": entries[:6], "validation": entries[6:]}
    (folder / "list.json").write_text(json.dumps(content))
    gan = {"channels": {4: 8, 8: 8, 16: 8, 32: 8}, "latent_dim": 8, "mapping_layers": 2, "joint_channels": 4}
    small = {"batch_size": 4, "channels": [8, 8]}
    for stage, settings in (
        ("gan", {"batch_size": 4, **gan}),
        ("encoder", small | {"channels": [8, 8, 8, 8]}),
        ("student", small),
    ):
        train(stage, folder / "list.json", folder / "run", **TINY, **settings)
    return folder / "run"


def test_the_run_knows_that_it_was_trained_on_colours(run: Path) -> None:
    settings = find_settings(run)
    assert settings is not None and settings.modality == ("XC",)
    assert settings.preprocessing.image_channels == 3 and settings.preprocessing.field_of_view == "image"
    assert settings.label_ids == (255,) and dict(settings.labels) == {1: "skin lesion"}


def test_every_sheet_of_the_training_is_in_colours(run: Path) -> None:
    sheets = [path for path in run.rglob("*.png") if path.name != "progress.png"]
    assert sheets
    for path in sheets:
        with Image.open(path) as sheet:
            values = np.asarray(sheet.convert("RGB")).astype(int)
        assert np.abs(values[..., 0] - values[..., 2]).mean() > 0.5, path.name


def test_its_bundle_segments_a_picture_in_every_mode(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = run.parent / "bundle"
    assert main(["bundle", "make", str(run), "--out", str(folder)]) == 0
    assert "--output LABEL.png" in capfd.readouterr().out
    bundle = load_bundle(folder, "cpu")
    assert bundle.modalities == ("XC",) and bundle.network.generator.image_channels == 3
    image = json.loads((folder / "configs" / "metadata.json").read_text())["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 3 and image["channel_def"] == {"0": "red", "1": "green", "2": "blue"}
    picture = next(run.parent.glob("*.jpg"))
    for mode in ("preview", "encoder", "invert", "refine"):
        mask = run.parent / f"{mode}.png"
        options = ["--mode", mode, "--bundle", str(folder), "--quiet"]
        assert main(["segment", str(picture), "-o", str(mask), *options]) == 0
        with Image.open(mask) as found:
            assert found.size == SIZE[::-1] and set(np.unique(np.asarray(found))) <= {0, 255}
    assert "learnt from" not in capfd.readouterr().err


def test_a_run_of_colours_is_not_continued_with_grey_pictures(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((run.parent / "list.json").read_text())
    for entry in (*content["training"], *content["validation"]):
        for name in set(entry) & {"image", "label"}:
            with Image.open(run.parent / entry[name]) as picture:
                entry[name] = entry[name].replace(".jpg", ".png")
                picture.convert("L").save(tmp_path / entry[name])
    (tmp_path / "list.json").write_text(json.dumps(content))
    command = ["train", "student", "--data", str(tmp_path / "list.json"), "--out", str(run), "--steps", "5", "--resume"]
    assert main([*command, "--quiet"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and str(run) in error
