"""A bundle for a new task, trained weights taken into it, and the zip."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser

from monai_semgan.authoring.checks import CHECKS
from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import bundle_settings, fill_bundle, next_version
from monai_semgan.authoring.pack import pack_bundle
from monai_semgan.bundle.labels import read_metadata, read_record
from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, find_settings
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.workflows.inference import check_agreement
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


def test_sizes_of_organs_that_both_know_are_taken_over_from_the_template(tmp_path: Path) -> None:
    template = shutil.copytree(SHIPPED_BUNDLE, tmp_path / "template", ignore=shutil.ignore_patterns("model.*"))
    config = template / "configs" / "inference.json"
    sizes = {"liver": [3, 150], "spleen": [0, 20]}
    config.write_text(json.dumps(read(config) | {"patient": {"height_mm": 200.0, "organ_cm2": sizes}}))
    folder = create_bundle(tmp_path / "made", ["heart", "Spleen"], template=template)
    assert read(folder / "configs" / "inference.json")["patient"] == {
        "height_mm": 200.0,
        "organ_cm2": {"spleen": [0, 20]},
    }


@pytest.mark.parametrize(("size", "channels", "side"), [(128, 256, 16), (64, 256, 16), (32, 256, 16)])
def test_the_spatial_part_of_a_template_fits_the_new_generator(
    tmp_path: Path, size: int, channels: int, side: int
) -> None:
    template = shutil.copytree(SHIPPED_BUNDLE, tmp_path / "template", ignore=shutil.ignore_patterns("model.*"))
    for path in (template / "configs").glob("*.json"):
        content = read(path)
        if "encoder_def" in content:
            content["encoder_def"] |= {"spatial_channels": 256, "spatial_size": 16}
            path.write_text(json.dumps(content))
    folder = create_bundle(tmp_path / "made", ["heart"], size=size, template=template)
    for name in ("inference", "train", "train_gan", "train_student"):
        encoder = read(folder / "configs" / f"{name}.json")["encoder_def"]
        assert (encoder["spatial_channels"], encoder["spatial_size"]) == (channels, side)
    spatial = read_metadata(folder)["encoder_data_format"]["outputs"]["spatial"]
    assert (spatial["num_channels"], spatial["spatial_shape"]) == (channels, [side, side])


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


def settings_of(run_folder: Path, **changes: Any) -> Path:
    """Write what the run in a folder was trained with."""
    labels = changes.pop("labels", {1: "Liver", 2: "Right_Kidney", 3: "Left_Kidney", 4: "Spleen"})
    modality = changes.pop("modality", ("CT",))
    preprocessing = Preprocessing(**{"size": 32, "pixel_mm": 11.0, **changes})
    ModelSettings(preprocessing, labels, modality).save(run_folder / SETTINGS)
    return run_folder


def like_the_run(folder: Path, labels: list[str] = ORGANS) -> Path:
    return create_bundle(folder, labels, size=32, pixel_mm=11.0)


def test_the_settings_of_a_run_travel_into_its_bundle(run_folder: Path, tmp_path: Path) -> None:
    folder = fill_bundle(like_the_run(tmp_path / "mine"), [settings_of(run_folder)])
    kept = find_settings(folder / "models")
    assert kept is not None and kept.difference(ModelSettings(Preprocessing(size=32, pixel_mm=11.0))) is None
    assert kept.labels == dict(enumerate(ORGANS, start=1)) and kept.paired_labels == ((2, 3),)
    assert load_bundle(folder, "cpu").preprocessing == kept.preprocessing


def test_ids_of_label_files_come_from_the_run(run_folder: Path, tmp_path: Path) -> None:
    run = settings_of(run_folder, label_ids=(5, 2, 3, 1))
    folder = fill_bundle(like_the_run(tmp_path / "mine"), [run])
    for name in ("inference", "train_student"):
        assert read(folder / "configs" / f"{name}.json")["slices"]["label_ids"] == [5, 2, 3, 1]
    assert load_bundle(folder, "cpu").preprocessing.label_ids == (5, 2, 3, 1)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ({"window": (0.0, 100.0)}, r"trained with window \[0.0, 100.0\], the bundle says \[-125.0, 275.0\]"),
        ({"percentiles": (1.0, 99.0)}, r"trained with percentiles \[1.0, 99.0\]"),
        ({"pixel_mm": 2.0}, "trained with pixel_mm 2.0, the bundle says 11.0"),
        ({"modality": ("MR",)}, "trained with modality MR, the bundle says CT"),
        ({"field_of_view": "image"}, "trained with"),
        ({"labels": {1: "spleen", 2: "right kidney", 3: "left kidney", 4: "liver"}}, "trained with labels spleen"),
        ({"size": 64}, "settings.json tells size 64, the weights are for 32"),
        ({"num_classes": 3, "labels": {}}, "settings.json tells num_classes 3, the weights are for 5"),
    ],
)
def test_a_run_that_contradicts_the_bundle_or_its_weights_is_refused(
    run_folder: Path, tmp_path: Path, run: dict[str, Any], problem: str
) -> None:
    folder = like_the_run(tmp_path / "mine")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SemganError, match=problem) as caught:
        fill_bundle(folder, [settings_of(run_folder, **run)])
    assert caught.value.remedy and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_weights_of_runs_with_different_settings_are_not_mixed(run_folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run_folder, tmp_path / "other"))
    settings_of(run_folder)
    settings_of(other, window=(0.0, 100.0))
    with pytest.raises(SemganError, match=r"other: was trained with window \[0.0, 100.0\], other weights given here"):
        fill_bundle(like_the_run(tmp_path / "mine"), [run_folder, other])


def test_a_bundle_changed_after_it_was_filled_is_refused_when_it_is_used(run_folder: Path, tmp_path: Path) -> None:
    folder = fill_bundle(like_the_run(tmp_path / "mine"), [settings_of(run_folder)])
    config = read(folder / "configs" / "inference.json")
    config["slices"]["window"] = [0.0, 100.0]
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    told = r"trained with window \[-125.0, 275.0\], the configuration says \[0.0, 100.0\]; undo the change"
    with pytest.raises(SemganError, match=told):
        load_bundle(folder, "cpu")
    network, slices = (ConfigParser(config).get_parsed_content(name) for name in ("network_def", "slices"))
    with pytest.raises(SemganError, match=told):
        check_agreement(network, slices, dict(enumerate(ORGANS, start=1)), folder)


def test_the_settings_of_the_shipped_bundle_are_those_of_its_configuration() -> None:
    assert find_settings(SHIPPED_BUNDLE / "models") == bundle_settings(SHIPPED_BUNDLE)
