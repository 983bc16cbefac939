"""`semgan bundle make`: a trained run becomes a bundle with nothing said twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.authoring.checks import CHECKS
from monai_semgan.authoring.create import create_bundle
from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.authoring.make import make_bundle, validation_dice
from monai_semgan.authoring.readme import with_section
from monai_semgan.bundle.labels import measured_dice, organ_labels, read_metadata, read_record
from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.slicing.model_settings import SETTINGS, ModelSettings, find_settings
from monai_semgan.slicing.preprocessing import Preprocessing

ORGANS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


@pytest.fixture
def trained(run_folder: Path) -> Path:
    """The run with its settings, and with a validation in the record of its student."""
    return settings_of(run_folder)


def settings_of(
    run: Path, labels: dict[int, str] | None = None, modality: tuple[str, ...] = ("CT",), **own: Any
) -> Path:
    preprocessing = Preprocessing(**{"size": 32, "pixel_mm": 11.0, "percentiles": (1.0, 99.0), **own})
    ModelSettings(preprocessing, ORGANS if labels is None else labels, modality).save(run / SETTINGS)
    record = json.loads((run / "student" / "record.json").read_text())
    record["metrics"] = {"dice": 0.7, **{f"dice_{index}": round(0.4 + index / 10, 1) for index in ORGANS}}
    record["data"] = {"labelled": ["Mrs Smith"], "unlabelled": ["Bob"], "validation": ["Ann"], "slices": 3}
    (run / "student" / "record.json").write_text(json.dumps(record))
    return run


def test_the_bundle_of_a_run_cuts_slices_as_the_run_did(trained: Path, tmp_path: Path) -> None:
    folder = make_bundle(trained, tmp_path / "mine")
    assert load_bundle(folder, "cpu").preprocessing == find_settings(trained).preprocessing  # type: ignore[union-attr]
    assert organ_labels(read_metadata(folder)) == ORGANS
    for path in (folder / "configs").glob("train*.json"):
        slices = json.loads(path.read_text())["slices"]
        assert (slices["pixel_mm"], slices["percentiles"]) == (11.0, [1.0, 99.0]), path.name
    assert [name for name, check in CHECKS.items() if check(folder)] == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_it_segments_like_a_bundle_that_was_made_and_filled(
    trained: Path, tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    volume = read_volume(ct_scan)
    made, original = (
        segment(volume, load_bundle(f, "cpu")).label for f in (make_bundle(trained, tmp_path / "b"), tiny_bundle)
    )
    assert original.any() and np.array_equal(made, original)


def test_its_texts_tell_figures_codes_and_numbers_but_no_patients(trained: Path, tmp_path: Path) -> None:
    folder = make_bundle(trained, tmp_path / "mine", name="abdomen", authors="Ann Doe")
    metadata, readme = read_metadata(folder), (folder / "docs" / "README.md").read_text()
    assert (metadata["name"], metadata["authors"], metadata["eval_metrics"]) == (
        "abdomen",
        "Ann Doe",
        {"mean_dice": 0.7},
    )
    assert measured_dice(read_record(folder))["CT"] == {
        "liver": 0.5, "right kidney": 0.6, "left kidney": 0.7, "spleen": 0.8, "mean": 0.7
    }  # fmt: skip
    assert "| 2 | right kidney | .600 |" in readme and "64033007 Kidney, right" in readme
    assert "1 labelled and 1 unlabelled patients" in readme and "pixels of 11 mm" in readme
    text = "".join(path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".md"))
    assert "Smith" not in text and "Bob" not in text and str(tmp_path) not in text


def test_ids_of_label_files_go_along(trained: Path, tmp_path: Path) -> None:
    settings_of(trained, num_classes=5, label_ids=(200, 500, 600, 7))
    folder = make_bundle(trained, tmp_path / "mine")
    assert load_bundle(folder, "cpu").preprocessing.label_ids == (200, 500, 600, 7)


def test_without_a_name_the_bundle_is_called_like_its_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bundle", "make", str(trained)]) == 0
    assert read_metadata(tmp_path / "run_bundle")["name"] == "run_bundle"
    assert "wrote run_bundle" in capsys.readouterr().out
    assert main(["bundle", "make", str(trained), "--name", "other"]) == 0
    assert (tmp_path / "other" / "models" / "model.pt").is_file()


@pytest.mark.parametrize(
    ("labels", "modality", "problem"),
    [
        ({1: "liver"}, ("CT",), r"nothing names class 2 \(id 2 in label files\)"),
        (ORGANS, (), "nothing tells the modality"),
        ({**ORGANS, 4: "Liver"}, ("CT",), "each may stand there once"),
    ],
)
def test_a_run_that_does_not_tell_all_is_refused_and_leaves_nothing(
    trained: Path, tmp_path: Path, labels: dict[int, str], modality: tuple[str, ...], problem: str
) -> None:
    settings_of(trained, labels, modality)
    with pytest.raises(SemganError, match=problem):
        make_bundle(trained, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir() if path != trained and "bundle" not in path.name] == []


def test_runs_without_weights_or_settings_and_bundles_that_exist_are_refused(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for run, out, problem in (
        (tmp_path / "empty", tmp_path / "new", "no trained run; train it first"),
        (tmp_path / "nowhere", tmp_path / "new", "no trained run"),
        (trained, tmp_path / "empty", "exists already"),
    ):
        with pytest.raises(SemganError, match=problem):
            make_bundle(run, out)
    (trained / SETTINGS).unlink()
    with pytest.raises(SemganError, match="run of 0.1.*bundle new.*bundle fill"):
        make_bundle(trained, tmp_path / "new")


def test_a_run_of_two_modalities_makes_a_bundle_that_says_so(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings_of(trained, modality=("MR", "CT"))
    folder = make_bundle(trained, tmp_path / "mine")
    assert "trained on CT and MR" in caplog.text
    assert read_metadata(folder)["network_data_format"]["inputs"]["image"]["modality"] == "CT/MR"
    assert find_settings(folder / "models").modality == ("CT", "MR")  # type: ignore[union-attr]
    assert load_bundle(folder, "cpu").modalities == ("CT", "MR")
    assert list(measured_dice(read_record(folder))) == ["CT/MR"], "one score of all, which is none of CT alone"
    assert "| structure | CT and MRI |" in (folder / "docs" / "README.md").read_text()


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "/tmp/evil", "..", ".", " ", ""])
def test_the_name_of_a_bundle_is_no_path(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    for out in (None, tmp_path / "out"):
        with pytest.raises(SemganError, match="a bundle cannot be called"):
            make_bundle(trained, out, name=name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("labels", "modality", "words"),
    [
        (list(ORGANS.values()), "DX", "trained with"),
        (list(ORGANS.values()), "MR", "trained with modality CT, the bundle says MR"),
        (["liver", "left kidney", "right kidney", "spleen"], "CT", "trained with labels liver, right kidney"),
    ],
)
def test_a_bundle_of_another_kind_or_order_of_organs_takes_no_weights(
    trained: Path, tmp_path: Path, labels: list[str], modality: str, words: str
) -> None:
    settings_of(trained, percentiles=(0.5, 99.5))
    folder = create_bundle(tmp_path / "mine", labels, modality, size=32, pixel_mm=11.0)
    with pytest.raises(SemganError, match=words):
        fill_bundle(folder, [trained])
    assert not (folder / "models" / "model.pt").exists()


def test_dice_of_organs_that_were_not_scored_is_left_out() -> None:
    assert validation_dice({"dice": 0.5, "dice_1": 0.5, "dice_2": None}, ORGANS) == {"liver": 0.5, "mean": 0.5}
    assert validation_dice({"dice": 0.5}, ORGANS) == {}


def test_a_section_of_a_readme_is_replaced_alone() -> None:
    text = "# A\n\n## **Data**\n\nold\n\n#### Sub\n\nx\n\n## **Performance**\n\nkept\n"
    assert with_section(text, "Data", "new") == "# A\n\n## **Data**\n\nnew\n\n## **Performance**\n\nkept\n"
    assert with_section(text, "Performance", "new").endswith("## **Performance**\n\nnew\n")
    assert with_section(text, "Nothing", "new") == text
