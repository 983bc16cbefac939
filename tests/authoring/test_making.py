"""A bundle for a new task, trained weights taken into it, and the zip."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.authoring.checks import CHECKS
from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import fill_bundle, next_version
from monai_semgan.authoring.pack import pack_bundle
from monai_semgan.bundle.labels import read_metadata, read_record
from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from tests.conftest import SHIPPED_BUNDLE

ORGANS = ["liver", "right kidney", "left kidney", "spleen"]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_new_bundle_has_every_file_of_the_shipped_one_but_the_weights(tmp_path: Path) -> None:
    folder = tmp_path / "lungs"
    assert main(["bundle", "new", str(folder), "--labels", "right lung, left lung", "--modality", "MR"]) == 0
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    shipped = ["LICENSE", "docs/README.md", "docs/data_license.txt"]
    assert made == {*shipped, *(f"configs/{path.name}" for path in (SHIPPED_BUNDLE / "configs").iterdir())}
    problems = {name: check(folder) for name, check in CHECKS.items()}
    assert {name for name, problem in problems.items() if problem} == {"files are there"}
    assert problems["files are there"] == "models/model.pt"


def test_a_new_bundle_tells_its_own_task_in_every_file(tmp_path: Path) -> None:
    folder = create_bundle(tmp_path / "lungs", ["right lung", "left lung"], "MR", size=64, pixel_mm=5.0, authors="Ann")
    metadata = read_metadata(folder)
    names = {"0": "background", "1": "right lung", "2": "left lung"}
    for key in ("network_data_format", "generator_data_format", "student_data_format"):
        assert metadata[key]["outputs"]["pred"]["channel_def"] == names
    image = metadata["network_data_format"]["inputs"]["image"]
    assert (image["modality"], image["spatial_shape"], metadata["authors"]) == ("MR", [64, 64], "Ann")
    assert metadata["encoder_data_format"]["outputs"]["latent"]["num_channels"] == 10
    inference = read(folder / "configs" / "inference.json")
    assert "domain" not in inference and "organ_cm2" not in inference["patient"]
    assert inference["inferer"]["modality"] == "MR"
    for name in ("inference", "train_gan", "train", "train_student"):
        slices = read(folder / "configs" / f"{name}.json")["slices"]
        assert (slices["num_classes"], slices["size"], slices["pixel_mm"]) == (3, 64, 5.0)
    text = "".join(p.read_text() for p in (folder / "docs").iterdir()) + json.dumps(metadata)
    for word in ("liver", "spleen", "BTCV", "CHAOS", ".909"):
        assert word not in text, word


@pytest.mark.parametrize("modality", ["CT", "DX"])
def test_windows_and_frames_follow_the_modality(tmp_path: Path, modality: str) -> None:
    folder = create_bundle(tmp_path / "chest", ["lungs"], modality, window=(-1000.0, 400.0))
    slices = read(folder / "configs" / "train.json")["slices"]
    assert slices["window"] == [-1000.0, 400.0]
    assert slices["field_of_view"] == ("image" if modality == "DX" else "body")
    assert ("whole image" in (folder / "docs" / "README.md").read_text()) == (modality == "DX")


@pytest.mark.parametrize(
    ("labels", "options", "problem"),
    [
        ([" "], {}, "no labels"),
        (["lung", "Lung"], {}, "each may stand there once"),
        (["background"], {}, "background is not counted"),
        (["lung"], {"size": 100}, "100 pixels are not possible"),
        (["lung"], {"window": (300.0, 100.0)}, "window"),
        (["lung"], {"pixel_mm": -1.0}, "positive"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    tmp_path: Path, labels: list[str], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SemganError, match=problem):
        create_bundle(tmp_path / "lungs", labels, **options)
    assert not list(tmp_path.iterdir())


def test_a_filled_bundle_segments_as_the_networks_it_was_made_of(
    run_folder: Path, tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder])
    volume = read_volume(ct_scan)
    filled, original = (segment(volume, load_bundle(f, "cpu")).label for f in (folder, tiny_bundle))
    assert original.any() and np.array_equal(filled, original)
    assert read_metadata(folder)["network_data_format"]["inputs"]["image"]["spatial_shape"] == [32, 32]
    for name in ("inference", "train_gan", "train", "train_student"):
        config = read(folder / "configs" / f"{name}.json")
        assert config["slices"]["pixel_mm"] == 11.0 and config["student_def"]["channels"] == [8, 8]
    assert not list(folder.glob(".*"))
    assert [name for name, check in CHECKS.items() if check(folder)] == []


def test_names_of_patients_do_not_go_into_the_bundle(run_folder: Path, tmp_path: Path) -> None:
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder])
    assert read_record(folder)["training"]["gan"]["data"] == {"labelled": 1, "slices": 3}
    assert not any(b"Smith" in path.read_bytes() for path in folder.rglob("*.json"))


def test_new_weights_are_a_new_version_without_the_old_figures(run_folder: Path, tmp_path: Path) -> None:
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder])
    metadata = read_metadata(folder) | {"eval_metrics": {"mean_dice": 0.9}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    config = read(folder / "configs" / "inference.json") | {"domain": {"weights": {}}}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    fill_bundle(folder, [run_folder])
    filled = read_metadata(folder)
    assert filled["version"] == "0.1.1" in filled["changelog"] and filled["eval_metrics"] == {}
    assert "domain" not in read(folder / "configs" / "inference.json")
    assert next_version("1.0.beta") == "1.0.beta.1"


def test_trouble_is_said_in_one_line_and_changes_nothing(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = create_bundle(tmp_path / "two", ["a", "b"])
    four = create_bundle(tmp_path / "four", ORGANS)
    before = {path: path.read_bytes() for path in four.rglob("*") if path.is_file()}
    commands = {
        "weights for 4 labels, the bundle names 2: a, b": ["fill", str(two), str(run_folder)],
        "no weights of the encoder": ["fill", str(four), str(run_folder / "gan"), str(run_folder / "student")],
        "nowhere: no such run": ["fill", str(four), str(tmp_path / "nowhere")],
        "runs: no such run; train the bundle first": ["fill", str(four)],
        "no such bundle folder": ["fill", str(tmp_path / "nowhere")],
        "four: exists already": ["new", str(four), "--labels", "a"],
        "files are there: models/model.pt; complete the bundle": ["pack", str(four)],
    }
    for problem, options in commands.items():
        assert main(["bundle", *options]) == 2
        shown = capsys.readouterr().err
        assert problem in shown and shown.count("\n") == 1, shown
    assert {path: path.read_bytes() for path in four.rglob("*") if path.is_file()} == before


def test_a_broken_configuration_is_not_packed(run_folder: Path, tmp_path: Path) -> None:
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder])
    config = read(folder / "configs" / "inference.json") | {"inferer": "$1 / 0"}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "docs" / "README.md").write_text("# Mine")
    with pytest.raises(SemganError, match="readme sections: Model Description"):
        pack_bundle(folder, tmp_path / "mine.zip")
    (folder / "configs" / "metadata.json").write_text("{}")
    with pytest.raises(SemganError, match="metadata keys: monai_version"):
        pack_bundle(folder, tmp_path / "mine.zip")
    assert not (tmp_path / "mine.zip").exists()


def test_the_zip_holds_the_bundle_and_nothing_else(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill_bundle(create_bundle(tmp_path / "mine", ORGANS), [run_folder])
    for name in ("runs/gan/checkpoint.pt", "data/scan.nii.gz", "eval/seg.nii.gz", "models/model.ts", "docs/.hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not of the bundle")
    monkeypatch.chdir(tmp_path)
    assert main(["bundle", "pack", "mine"]) == 0
    names = zipfile.ZipFile(tmp_path / "mine_v0.1.0.zip").namelist()
    own = ["LICENSE", "docs/README.md", "docs/data_license.txt"]
    own += ["models/model.pt", "models/model.json", "models/settings.json"]
    configs = [f"configs/{path.name}" for path in (SHIPPED_BUNDLE / "configs").iterdir()]
    assert sorted(names) == sorted(f"mine/{name}" for name in (*own, *configs))
    again = pack_bundle(folder, tmp_path / "again.zip")
    assert again.read_bytes() == (tmp_path / "mine_v0.1.0.zip").read_bytes()
