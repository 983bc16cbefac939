"""`semgan calibrate`, and the score that the bundle gives afterwards."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from tests.phantoms import grid, patient, save_datalist, save_patient


def test_a_calibrated_bundle_assesses_scans(
    tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    config = bundle / "configs" / "inference.json"
    before = json.loads(config.read_text())
    before.pop("domain", None)
    config.write_text(json.dumps(before))
    volume = read_volume(ct_scan)
    assert segment(volume, load_bundle(bundle)).domain is None
    entries = [save_patient(tmp_path, name, spacing=(8.0, 8.0, 12.0)) for name in ("anna", "ben", "carl")]
    arguments = [
        "--data",
        str(save_datalist(tmp_path, training=entries)),
        "--limit",
        "1",
        "--modes",
        "preview",
        "--quiet",
    ]
    assert main(["calibrate", "--bundle", str(bundle), *arguments, "--limits", "0.001", "0.9"]) == 0
    told = capsys.readouterr()
    assert "preview: scans as they are score 0." in told.out
    assert "1 of 1 would be called unusual" in told.err
    after = json.loads(config.read_text())
    assert {k: v for k, v in after.items() if k != "domain"} == before
    assert set(after["domain"]["priors"]) == {"liver", "right kidney", "left kidney", "spleen"}
    found = segment(volume, load_bundle(bundle))
    assert found.domain is not None and 0 <= found.domain.score <= 1
    assert found.domain.per_slice.shape == (found.probabilities.shape[0],)
    if found.domain.verdict != "in domain":
        assert any("Out-of-domain score" in note for note in found.notes)
    assert set(after["domain"]["weights"]["preview part"]) == {"intercept", "doubt", "pieces"}
    sparse, shape = grid((4.0, 4.0, 5.0), field=(330.0, 240.0, 15.0))
    part = segment(patient(sparse, shape, seed=1), load_bundle(bundle)).domain
    assert part is not None and part.score is not None and "3 slices only, 15 mm high" in part.advice


def test_a_list_that_leaves_organs_out_gives_no_sizes_and_places(tmp_path: Path, tiny_bundle: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    entries = [save_patient(tmp_path, name, spacing=(8.0, 8.0, 12.0)) for name in ("anna", "ben", "carl")]
    listed = save_datalist(tmp_path, training=entries)
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {"labels": {"1": "liver", "4": "spleen"}}))
    arguments = ["--data", str(listed), "--limit", "1", "--modes", "preview", "--every", "3", "--quiet"]
    assert main(["calibrate", "--bundle", str(bundle), *arguments]) == 0
    section = json.loads((bundle / "configs" / "inference.json").read_text())["domain"]
    assert section["priors"] == {} and section["weights"]["preview"]["place"] == 0


def test_a_list_without_labels_leaves_the_bundle_alone(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_bundle / "configs" / "inference.json").read_bytes()
    listed = save_datalist(tmp_path, training=[save_patient(tmp_path, "anna", label=False, spacing=(8.0, 8.0, 12.0))])
    assert main(["calibrate", "--bundle", str(tiny_bundle), "--data", str(listed)]) == 2
    assert "no labelled entry" in capsys.readouterr().err
    assert (tiny_bundle / "configs" / "inference.json").read_bytes() == before


def radiographs(folder: Path, count: int, side: int = 40) -> Path:
    """A list of pictures of a body with four organs, and their labels."""
    entries = []
    for number in range(count):
        image, label = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
        image[side // 8 : -side // 8, side // 8 : -side // 8] = 90
        for index in (1, 2, 3, 4):
            start = side // 8 * (index + 1) + number % 3
            label[start : start + side // 10, side // 4 : side // 2] = index
        image[label > 0] = 150 + 20 * label[label > 0]
        for kind, array in (("", image), ("_label", label)):
            Image.fromarray(array).save(folder / f"x{number}{kind}.png")
        entries.append({"image": f"x{number}.png", "label": f"x{number}_label.png"})
    return save_datalist(folder, training=entries)


def test_single_images_are_judged_as_wholes_whatever_their_number_of_pixels(
    tmp_path: Path, radiograph_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = radiographs(tmp_path, 5)
    command = ["calibrate", "--bundle", str(radiograph_bundle), "--data", str(listed), "--modes", "preview", "--quiet"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "preview: scans as they are score" in told.out and "labelled scans" not in told.err
    small = segment(tmp_path / "x0.png", load_bundle(radiograph_bundle)).domain
    picture = Image.open(tmp_path / "x0.png")
    picture.resize((160, 160), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    large = segment(tmp_path / "large.png", load_bundle(radiograph_bundle)).domain
    assert small is not None and large is not None and small.score is not None and large.score is not None
    assert large.score == pytest.approx(small.score, abs=0.05)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2, "2 scans have labels of all organs, 3 are needed: the score will not heed sizes and places"),
        (3, "3 labelled scans: a score fitted to fewer than 5 is rough"),
    ],
)
def test_what_few_scans_cannot_tell_is_said_before_the_work(
    tmp_path: Path, radiograph_bundle: Path, capsys: pytest.CaptureFixture[str], count: int, words: str
) -> None:
    command = ["calibrate", "--bundle", str(radiograph_bundle), "--modes", "preview", "--quiet"]
    assert main([*command, "--data", str(radiographs(tmp_path, count))]) == 0
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[0]


def test_a_bundle_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, radiograph_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0)
    monkeypatch.setattr(
        "monai_semgan.evaluation.calibration_samples.collect", lambda *_, **__: pytest.fail("worked in vain")
    )
    command = ["calibrate", "--bundle", str(radiograph_bundle), "--data", str(radiographs(tmp_path, 3)), "--quiet"]
    assert main(command) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_student_alone_is_calibrated_for_previews(
    tmp_path: Path, student_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copytree(student_bundle, tmp_path / "bundle"))
    entries = [save_patient(tmp_path, name, spacing=(8.0, 8.0, 12.0)) for name in ("anna", "ben")]
    command = ["calibrate", "--bundle", str(bundle), "--data", str(save_datalist(tmp_path, training=entries))]
    command += ["--limit", "1", "--every", "4", "--quiet"]
    assert main([*command, "--modes", "encoder"]) == 2
    assert "mode encoder needs generator and encoder" in capsys.readouterr().err
    assert main(command) == 0
    weights = json.loads((bundle / "configs" / "inference.json").read_text())["domain"]["weights"]
    assert {kind.split()[0] for kind in weights} == {"preview"}
