"""`semgan evaluate`, as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.cli import main
from monai_semgan.io.reading import read_volume
from tests.phantoms import save_datalist, save_nifti, save_patient

SPACING = (8.0, 8.0, 12.0)


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    return save_datalist(
        tmp_path, validation=[save_patient(tmp_path, name, spacing=SPACING) for name in ("anna", "ben")]
    )


@pytest.fixture
def predictions(tmp_path: Path, datalist: Path) -> Path:
    """Anna's label is right but for a liver moved by one voxel; Ben has none."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    label = read_volume(tmp_path / "anna_label.nii.gz", integer=True)
    array = label.array.astype(np.uint8)
    liver = np.roll(array == 1, 1, axis=0)
    array[array == 1] = 0
    array[liver] = 1
    save_nifti(folder / "anna.nii.gz", array, label.affine)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_are_scored_and_the_missing_patient_is_listed(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(out)]) == 3
    by_organ = {row["organ"]: row for row in rows(out) if row["patient"] == "anna"}
    assert float(by_organ["spleen"]["dice"]) == 1 and float(by_organ["spleen"]["assd_mm"]) == 0
    assert 0.8 < float(by_organ["liver"]["dice"]) < 1
    assert float(by_organ["liver"]["hd95_mm"]) == pytest.approx(8.0)
    assert abs(float(by_organ["liver"]["error_percent"])) < 1
    summary = (out / "summary.md").read_text()
    assert "1 of 2 patients were scored" in summary and "* ben: no prediction" in summary
    assert Image.open(out / "boxplot.png").size[0] > 600


def test_missing_patients_can_be_allowed(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    arguments = ["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--allow-missing", "--no-distance"]) == 0


def test_a_prediction_on_another_grid_is_named_not_resampled(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    save_nifti(predictions / "ben.nii.gz", np.zeros((5, 6, 7), np.uint8))
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(out)]) == 3
    problem = next(row["problem"] for row in rows(out) if row["patient"] == "ben")
    assert "ben.nii.gz" in problem and "grid" in problem


def test_an_organ_that_was_not_found_counts_as_zero(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    label = read_volume(tmp_path / "ben_label.nii.gz", integer=True)
    save_nifti(predictions / "ben.nii.gz", np.where(label.array == 4, 0, label.array).astype(np.uint8), label.affine)
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(out)]) == 0
    spleen = next(row for row in rows(out) if (row["patient"], row["organ"]) == ("ben", "spleen"))
    assert float(spleen["dice"]) == 0 and spleen["hd95_mm"] == "" and spleen["problem"] == "was not found"
    assert "ben: spleen was not found" in (out / "summary.md").read_text()
    assert json.loads((out / "scores.json").read_text())["dice"]["spleen"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: [file.unlink() for file in folder.iterdir()], "holds no label files"),
        (lambda folder: (folder / "anna.nrrd").write_bytes(b"x"), "both of patient anna"),
    ],
)
def test_a_useless_folder_of_predictions_is_one_line(
    tmp_path: Path, datalist: Path, predictions: Path, capsys: pytest.CaptureFixture[str], change, words: str
) -> None:
    change(predictions)
    arguments = ["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_unknown_ids_are_named(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    label = read_volume(tmp_path / "ben_label.nii.gz", integer=True)
    save_nifti(predictions / "ben.nii.gz", (label.array + 7).astype(np.uint8), label.affine)
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(out)]) == 3
    assert "label id 7" in (out / "summary.md").read_text()


def test_a_list_without_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = save_datalist(tmp_path, test=[save_patient(tmp_path, "carl", label=False, spacing=SPACING)])
    assert main(["evaluate", "--predictions", str(tmp_path), "--data", str(listed), "--out", str(tmp_path / "o")]) == 2
    assert "no labelled entry" in capsys.readouterr().err


def test_a_model_is_scored_and_goes_on_where_it_was(
    tmp_path: Path, datalist: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["evaluate", "--bundle", str(tiny_bundle), "--data", str(datalist), "--out", str(out), "--quiet"]
    assert main([*arguments, "--no-distance"]) == 0
    first = json.loads((out / "scores.json").read_text())
    assert {p["patient"] for p in first["patients"]} == {"anna", "ben"} and first["settings"]["mode"] == "preview"
    capsys.readouterr()
    assert main([*arguments, "--no-distance"]) == 0
    assert "2 patients are scored already" in capsys.readouterr().err
    assert json.loads((out / "scores.json").read_text())["patients"] == first["patients"]
    assert main([*arguments, "--no-distance", "--mode", "encoder"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_an_unreadable_scan_does_not_end_the_evaluation(tmp_path: Path, datalist: Path, tiny_bundle: Path) -> None:
    (tmp_path / "anna.nii.gz").write_bytes(b"no scan")
    out = tmp_path / "out"
    arguments = ["evaluate", "--bundle", str(tiny_bundle), "--data", str(datalist), "--out", str(out), "--quiet"]
    assert main([*arguments, "--no-distance"]) == 3
    content = json.loads((out / "scores.json").read_text())
    assert [bool(p["problem"]) for p in content["patients"]] == [True, False]


def test_two_evaluations_are_compared_pairwise(tmp_path: Path, datalist: Path, predictions: Path) -> None:
    arguments = ["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--allow-missing"]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    label = read_volume(tmp_path / "anna_label.nii.gz", integer=True)
    save_nifti(predictions / "anna.nii.gz", label.array.astype(np.uint8), label.affine)
    compared = [*arguments, "--out", str(tmp_path / "two"), "--compare", str(tmp_path / "one" / "scores.json")]
    assert main(compared) == 0
    text = (tmp_path / "two" / "comparison.md").read_text()
    assert "cannot carry a test" in text and "| liver | 1 | +0.1" in text
