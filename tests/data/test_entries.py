"""Data lists may hold DICOM folders and zips as images, and segmentations in DICOM or for 3D Slicer as labels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.data.cache import VolumeCache
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.entries import read_entry_label
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
TURNED = {1: "spleen", 2: "Left_Kidney", 3: "kidney right", 4: "LIVER"}
SMALL = Preprocessing(size=32, pixel_mm=11)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two series, one zipped; labels as DICOM SEG, for 3D Slicer and as NIfTI, each with its own ids."""
    pytest.importorskip("highdicom")
    for number, name in enumerate(("anna", "bert")):
        affine, shape = grid((12.0, 12.0, 14.0), codes="LPS", degrees=(3.0, 2.0 * number, 5.0))
        write_series(tmp_path / name, datasets(np.round(patient(affine, shape, seed=number).array), affine))
        volume = read_volume(tmp_path / name)
        label = labels_at(points_of(volume.affine, volume.array.shape))
        write_label(label, volume, tmp_path / f"{name}.dcm", Segments(NAMES))
        turned = np.array([0, 4, 3, 2, 1], np.uint8)[label]
        write_label(turned, volume, tmp_path / f"{name}.seg.nrrd", Segments(TURNED))
        save_nifti(tmp_path / f"{name}.nii.gz", turned, volume.affine)
    shutil.make_archive(str(tmp_path / "bert"), "zip", tmp_path / "bert")
    shutil.rmtree(tmp_path / "bert")
    return tmp_path


def listed(folder: Path, ending: str, labels: dict[int, str] | None) -> Path:
    items = [{"image": i, "label": f"{Path(i).stem}{ending}"} for i in ("anna", "bert.zip")]
    path = folder / "list.json"
    content = {"training": items[:1], "validation": items[1:]} | ({"labels": labels} if labels else {})
    path.write_text(json.dumps(content))
    return path


def test_training_takes_dicom_folders_zips_and_segmentations_by_name(folder: Path) -> None:
    sets = []
    for ending, labels in ((".dcm", NAMES), (".seg.nrrd", NAMES), (".nii.gz", TURNED)):
        entries = load_datalist(listed(folder, ending, labels))
        slices = build_slice_set([*entries.training, *entries.validation], SMALL)
        assert slices.patients == ("anna", "bert") and slices.modalities == ("CT", "CT")
        sets.append(slices.labels)
    assert sets[0].unique().tolist() == [0, 1, 2, 3, 4]
    assert (sets[0] == sets[1]).all()
    assert (sets[2] == np.array([0, 4, 3, 2, 1], np.uint8)[sets[0]]).all(), "plain ids are those of the list"


def test_a_student_is_trained_on_them(folder: Path) -> None:
    from tests.training.phantoms import train

    options = {"channels": [8, 8], "generated_fraction": 0, "batch_size": 2}
    data = listed(folder, ".dcm", NAMES)
    (result,) = train("student", data, folder / "run", steps=2, size=32, num_classes=5, device="cpu", **options)
    assert result.finished and "dice_4" in result.metrics


@pytest.mark.parametrize(("ending", "labels"), [(".dcm", None), (".seg.nrrd", None), (".nii.gz", TURNED)])
def test_evaluation_finds_the_organs_by_name(
    ending: str, labels: dict | None, folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Perfect predictions in the model's ids, references in other ids or as segments."""
    (folder / "found").mkdir()
    for name, image in (("anna", "anna"), ("bert", "bert.zip")):
        volume = read_volume(folder / image)
        label = labels_at(points_of(volume.affine, volume.array.shape))
        path = folder / "found" / (f"{name}.nii.gz" if name == "anna" else f"{name}.dcm")
        write_label(label, volume, path, Segments(NAMES))
    for section in ("training", "validation"):
        command = ["evaluate", "--data", str(listed(folder, ending, labels)), "--section", section, "--quiet"]
        command += ["--predictions", str(folder / "found"), "--bundle", str(tiny_bundle), "--no-distance"]
        assert main([*command, "--out", str(folder / section)]) == 0, capsys.readouterr()
        scores = (folder / section / "scores.csv").read_text()
        assert scores.count(",1.0") >= 4, scores


def test_a_model_is_scored_on_them(folder: Path, tiny_bundle: Path) -> None:
    command = ["evaluate", "--data", str(listed(folder, ".dcm", None)), "--bundle", str(tiny_bundle), "--quiet"]
    assert main([*command, "--out", str(folder / "out"), "--no-distance", "--device", "cpu"]) == 0
    assert "bert" in (folder / "out" / "scores.csv").read_text()


def test_a_cohort_takes_them(folder: Path, tiny_bundle: Path) -> None:
    command = ["segment", str(listed(folder, ".dcm", None)), "-o", str(folder / "out"), "--bundle", str(tiny_bundle)]
    assert main([*command, "--quiet", "--device", "cpu", "--no-cleanup", "--format", "seg.nrrd"]) == 0
    assert {path.name for path in (folder / "out").glob("*.seg.nrrd")} == {"anna.seg.nrrd", "bert.seg.nrrd"}


def test_slices_are_made_anew_when_a_file_of_the_series_changes(folder: Path) -> None:
    (entry,) = load_datalist(listed(folder, ".dcm", NAMES)).training
    cache = folder / "cache"
    for count in (1, 1, 2):
        if count == 2:
            next((folder / "anna").iterdir()).touch()
        assert VolumeCache([entry], SMALL, cache)[0]["image"].shape[1:] == (1, 32, 32)
        assert len(list(cache.iterdir())) == count


def test_names_of_list_and_model_that_have_nothing_in_common_are_a_mistake(folder: Path) -> None:
    entry = Entry(folder / "anna", folder / "anna.nii.gz", names=((1, "brain"), (2, "heart")))
    with pytest.raises(SemganError, match="names its labels brain, heart; expected are liver"):
        read_entry_label(entry, names=NAMES)
    assert read_entry_label(entry).array.max() == 4
    with pytest.raises(SemganError, match='nothing tells which organs are meant; add "labels"'):
        read_entry_label(replace(entry, label=folder / "anna.dcm", names=()))
