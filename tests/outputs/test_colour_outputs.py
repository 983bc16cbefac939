"""What a segmentation of a picture in colours leaves: overlay, report, reconstruction and samples in colours."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.cli import main
from monai_semgan.io.reading import read_volume
from tests.skin_lesions import SIZE, lesion


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    Image.fromarray(lesion(2)[0]).save(tmp_path / "naevus.jpg", quality=92)
    return tmp_path / "naevus.jpg"


def is_coloured(picture: Image.Image) -> bool:
    values = np.asarray(picture.convert("RGB")).astype(int)
    return bool(np.abs(values[..., 0] - values[..., 2]).mean() > 3)


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert", "refine"])
def test_every_mode_gives_a_mask_on_the_pixels_of_the_picture(
    mode: str, photograph: Path, photograph_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--mode", mode, "--bundle", str(photograph_bundle), "--quiet"]
    places = ["--maps", str(tmp_path / "maps"), "--overlay", str(tmp_path / "o.png")]
    assert main(["segment", str(photograph), "-o", str(tmp_path / "mask.png"), *places, *options]) == 0
    with Image.open(tmp_path / "mask.png") as mask, Image.open(tmp_path / "o.png") as overlay:
        assert mask.mode == "L" and mask.size == SIZE[::-1] and is_coloured(overlay)
    maps = {path.name for path in (tmp_path / "maps").iterdir()}
    rendered = {"reconstruction.png", "residual.nii.gz"}
    assert "uncertainty.nii.gz" in maps and maps & rendered == (set() if mode == "preview" else rendered)
    assert "reconstruction.nii.gz" not in maps
    if mode != "preview":
        with Image.open(tmp_path / "maps" / "reconstruction.png") as picture:
            assert picture.mode == "RGB" and picture.size == SIZE[::-1]
        assert read_volume(tmp_path / "maps" / "residual.nii.gz").array.shape == (*SIZE[::-1], 1)
    assert "learnt from" not in capfd.readouterr().out, "a photograph is what the model knows"


def test_the_report_shows_the_picture_in_its_colours(photograph: Path, photograph_bundle: Path, tmp_path: Path) -> None:
    options = ["--bundle", str(photograph_bundle), "--report", str(tmp_path / "report"), "--no-cleanup", "--quiet"]
    assert main(["segment", str(photograph), "-o", str(tmp_path / "mask.png"), *options]) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    panels = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert panels and all(is_coloured(Image.open(io.BytesIO(base64.b64decode(panel)))) for panel in panels)
    assert "128 x 96 pixels of unknown size" in page and "front" not in page and "axial" not in page
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert content["scan"]["modality"] == "XC" and content["area_unit"] == "pixels"


def test_samples_are_pictures_in_colours_and_there_are_no_patients(
    photograph_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--count", "2", "--bundle", str(photograph_bundle), "--quiet"]
    assert main(["sample", "--out", str(tmp_path / "s"), *options]) == 0
    names = {path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").rglob("*.*")}
    assert names == {"sheet.png", *(f"slices/slice_000{i}_{kind}.png" for i in (0, 1) for kind in ("image", "label"))}
    with Image.open(tmp_path / "s" / "slices" / "slice_0000_image.png") as picture:
        assert picture.mode == "RGB"
    for further, message in ((["--patients", "1"], "no patients"), (["--format", "nifti"], "pictures in colours")):
        assert main(["sample", "--out", str(tmp_path / "t"), *options, *further]) == 2
        assert message in capfd.readouterr().err
    assert not list((tmp_path / "t").glob("**/*.*"))
