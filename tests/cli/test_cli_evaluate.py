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


NAMES = {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    entries = [save_patient(tmp_path, name, spacing=SPACING) for name in ("anna", "ben")]
    return save_datalist(tmp_path, validation=entries, labels=NAMES)


@pytest.fixture
def unnamed(datalist: Path) -> Path:
    content = {key: value for key, value in json.loads(datalist.read_text()).items() if key != "labels"}
    datalist.write_text(json.dumps(content))
    return datalist


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
        (lambda folder: (folder / "anna.nrrd").write_bytes(b"x"), "both of anna"),
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


def test_unknown_ids_are_named(tmp_path: Path, unnamed: Path, predictions: Path) -> None:
    label = read_volume(tmp_path / "ben_label.nii.gz", integer=True)
    save_nifti(predictions / "ben.nii.gz", (label.array + 60).astype(np.uint8), label.affine)
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(unnamed), "--out", str(out)]) == 3
    assert "label id 60" in (out / "summary.md").read_text()


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
    assert "2 scans are scored already" in capsys.readouterr().err
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


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    """Two scans of one file name, of a list that tells no patients."""
    items = []
    for name, seed in (("case_0", "a"), ("case_1", "ab")):
        (tmp_path / name).mkdir()
        item = save_patient(tmp_path / name, seed, spacing=SPACING)
        (tmp_path / name / item["image"]).rename(tmp_path / name / "imaging.nii.gz")
        items.append({"image": f"{name}/imaging.nii.gz", "label": f"{name}/{item['label']}"})
    return save_datalist(tmp_path, test=items)


def test_what_segment_writes_for_a_list_is_found_by_evaluate(
    tmp_path: Path, kits: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--bundle", str(tiny_bundle), "--device", "cpu", "--quiet"]
    assert main(["segment", str(kits), "-o", str(tmp_path / "organs"), *model]) == 0
    scores = ["evaluate", "--data", str(kits), "--no-distance", *model]
    assert main([*scores, "--predictions", str(tmp_path / "organs"), "--out", str(tmp_path / "files")]) == 0
    assert main([*scores, "--mode", "preview", "--out", str(tmp_path / "model")]) == 0
    dice = {(row["name"], row["organ"]): row["dice"] for row in rows(tmp_path / "files")}
    assert {name for name, _ in dice} == {"case_0__imaging", "case_1__imaging"}
    assert dice == {(row["name"], row["organ"]): row["dice"] for row in rows(tmp_path / "model")}
    summary = (tmp_path / "model" / "summary.md").read_text()
    assert "| case_0__imaging (case_0) |" in summary and "| case_1__imaging (case_1) |" in summary
    capsys.readouterr()
    compared = ["--mode", "preview", "--out", str(tmp_path / "model"), "--compare"]
    assert main([*scores, *compared, str(tmp_path / "files" / "scores.json")]) == 0
    said = capsys.readouterr()
    assert "2 scans are scored already" in said.err and "| mean | 2 | +0.0000" in said.out


def test_a_corrected_label_is_scored_anew_and_an_older_file_is_not_trusted(
    tmp_path: Path, kits: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["evaluate", "--bundle", str(tiny_bundle), "--data", str(kits), "--out", str(out), "--quiet"]
    command += ["--no-distance", "--device", "cpu"]
    assert main(command) == 0
    label = read_volume(tmp_path / "case_0" / "a_label.nii.gz", integer=True)
    save_nifti(tmp_path / "case_0" / "a_label.nii.gz", (label.array == 1).astype(np.uint8) * 4, label.affine)
    before = json.loads((out / "scores.json").read_text())["patients"]
    capsys.readouterr()
    assert main(command) == 0
    assert "scored anew, since label changed: case_0__imaging" in capsys.readouterr().err
    after = json.loads((out / "scores.json").read_text())["patients"]
    assert after[0]["organs"]["spleen"]["reference_ml"] == before[0]["organs"]["liver"]["reference_ml"]
    assert after[1] == before[1]
    content = json.loads((out / "scores.json").read_text())
    for patient in content["patients"]:
        del patient["name"], patient["state"]
    (out / "scores.json").write_text(json.dumps(content))
    assert main(command) == 0
    assert "an earlier version did not tell what they were made from: case_0__imaging" in capsys.readouterr().err


def test_it_is_asked_whose_ids_predictions_hold_where_nothing_tells(
    tmp_path: Path, datalist: Path, predictions: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(datalist.read_text())
    swapped = {"1": "liver", "2": "left kidney", "3": "right kidney", "4": "spleen"}
    datalist.write_text(json.dumps({**content, "labels": swapped}))
    command = ["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(tmp_path / "out")]
    command += ["--allow-missing", "--no-distance"]
    assert main([*command, "--bundle", str(tiny_bundle)]) == 2
    assert "say it with --prediction-labels model, list or FILE" in capsys.readouterr().err
    assert main([*command, "--bundle", str(tiny_bundle), "--prediction-labels", "list"]) == 0
    said = capsys.readouterr()
    assert "predictions: ids of the data list" in said.err and "left kidney      Dice 1.0000" in said.out
    model = ["evaluate", "--data", str(datalist), "--out", str(tmp_path / "o"), "--prediction-labels", "list"]
    assert main(model) == 2
    assert "--prediction-labels is for label files" in capsys.readouterr().err


def test_label_files_are_named_by_list_or_bundle_and_never_by_a_model_that_nobody_chose(
    tmp_path: Path, unnamed: Path, predictions: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--predictions", str(predictions), "--data", str(unnamed), "--allow-missing"]
    assert main([*command, "--out", str(tmp_path / "numbers")]) == 0
    said = capsys.readouterr()
    assert "label 4          Dice 1.0000, HD95 0.0 mm" in said.out and "spleen" not in said.out + said.err
    assert "organs are called by their ids" in said.err
    assert main([*command, "--bundle", str(tiny_bundle), "--out", str(tmp_path / "names")]) == 0
    assert "spleen" in capsys.readouterr().out
    assert main([*command, "--prediction-labels", "model", "--out", str(tmp_path / "model")]) == 2
    assert "give --bundle" in capsys.readouterr().err


def test_results_of_another_model_than_the_shipped_one_need_its_names(
    tmp_path: Path, datalist: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--bundle", str(tiny_bundle), "--device", "cpu", "--quiet"]
    assert main(["segment", str(datalist), "-o", str(tmp_path / "organs"), *model]) == 0
    command = ["evaluate", "--data", str(datalist), "--predictions", str(tmp_path / "organs"), "--no-distance"]
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "made by another model than the one that comes with the package" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "out"), "--bundle", str(tiny_bundle)]) == 0


def test_the_console_tells_of_how_many_scans_a_distance_is(
    tmp_path: Path, datalist: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = read_volume(tmp_path / "ben_label.nii.gz", integer=True)
    save_nifti(predictions / "ben.nii.gz", np.where(label.array == 4, 0, label.array).astype(np.uint8), label.affine)
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(predictions), "--data", str(datalist), "--out", str(out)]) == 0
    assert "spleen           Dice 0.5000, HD95 0.0 mm (1 of 2)" in capsys.readouterr().out
    (line,) = [line for line in (out / "summary.md").read_text().splitlines() if line.startswith("| spleen | 2")]
    assert "0 (0), 1 of 2" in line


def test_radiographs_are_scored_in_pixels_and_checked_on_this_machine(
    tmp_path: Path, radiograph_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, label = np.zeros((40, 30), np.uint8), np.zeros((40, 30), np.uint8)
    image[5:35, 5:25], label[10:20, 8:20] = 120, 1
    Image.fromarray(image).save(tmp_path / "x.png")
    Image.fromarray(label).save(tmp_path / "x_label.png")
    listed = save_datalist(tmp_path, test=[{"image": "x.png", "label": "x_label.png"}], labels={"1": "liver"})
    model = ["--bundle", str(radiograph_bundle), "--device", "cpu", "--quiet"]
    assert main(["evaluate", "--data", str(listed), "--out", str(tmp_path / "out"), *model]) == 0
    (row,) = rows(tmp_path / "out")
    assert float(row["reference_pixels"]) == 120 and "reference_ml" not in row
    assert "area error (pixels)" in (tmp_path / "out" / "summary.md").read_text()
    capsys.readouterr()
    assert main(["selfcheck", "--out", str(tmp_path / "check"), *model]) == 0
    said = capsys.readouterr().out
    assert "self-consistency check" in said and f"wrote {tmp_path / 'check' / 'image_000_label.png'}" in said
    assert Image.open(tmp_path / "check" / "image_000_image.png").mode == "L"
    assert main(["selfcheck", str(tmp_path / "x.png"), "--out", str(tmp_path / "check"), *model]) == 0
    assert Image.open(tmp_path / "check" / "x_label.png").size == (30, 40)
