"""`semgan correct`: strokes and a label in, a label on the scan's grid out, or one line that helps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from monai_semgan.cli import main
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

LIVER, SPLEEN = 1, 4


@dataclass(frozen=True)
class Case:
    """A scan and its label on the disk, and what they hold."""

    folder: Path
    affine: np.ndarray
    label: np.ndarray
    bundle: Path

    def save(self, name: str, array: np.ndarray) -> Path:
        return save_nifti(self.folder / name, array.astype(np.uint8), self.affine)

    def drawn(self, name: str, where: np.ndarray, value: int) -> Path:
        strokes = np.zeros_like(self.label)
        strokes[where] = value
        return self.save(name, strokes)

    def command(self, *options: str | Path, output: str = "out.nii.gz", label: str = "label.nii.gz") -> list[str]:
        given = ["correct", self.folder / "scan.nii.gz", "--label", self.folder / label, "--out", self.folder / output]
        return [*map(str, (*given, "--bundle", self.bundle, "--device", "cpu", "--quiet", *options))]

    def read(self, name: str = "out.nii.gz") -> np.ndarray:
        return np.asarray(nibabel.load(self.folder / name).dataobj)


@pytest.fixture
def case(tmp_path: Path, tiny_bundle: Path) -> Case:
    affine, shape = grid((8.0, 8.0, 12.0), codes="PSR", degrees=(0.0, 4.0, 7.0))
    save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape, seed=0).array, affine)
    case = Case(tmp_path, affine, labels_at(points_of(affine, shape)).astype(np.uint8), tiny_bundle)
    case.save("label.nii.gz", case.label)
    return case


def in_one_slice(case: Case, structure: int) -> np.ndarray:
    """Some voxels of a structure within one stored axial slice (the second axis of the scan)."""
    mask = case.label == structure
    middle = int(mask.sum(axis=(0, 2)).argmax())
    mask[:, np.arange(mask.shape[1]) != middle] = False
    return mask


def test_strokes_stand_in_a_label_on_exactly_the_grid_of_the_scan(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    there, away = in_one_slice(case, SPLEEN), in_one_slice(case, LIVER)
    strokes, negative = case.drawn("plus.nii.gz", there, LIVER), case.drawn("minus.nii.gz", away, LIVER)
    assert main(case.command("--strokes", strokes, "--negative", negative)) == 0
    found = nibabel.load(case.folder / "out.nii.gz")
    assert found.shape == case.label.shape and np.allclose(found.affine, case.affine, atol=1e-4)
    assert (case.read()[there] == LIVER).all()
    assert (case.read()[away] != LIVER).all()
    shown = capsys.readouterr().out
    assert "liver" in shown and " ml" in shown and f"wrote {case.folder / 'out.nii.gz'}" in shown


def test_a_locked_structure_keeps_every_voxel_and_the_user_is_told(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, SPLEEN), LIVER)
    assert main(case.command("--strokes", strokes, "--lock", "Spleen")) == 0
    assert np.array_equal(case.read() == SPLEEN, case.label == SPLEEN)
    assert "semgan: note: " in capsys.readouterr().err


def test_a_report_shows_strokes_and_the_organs_before_and_after(case: Case, tmp_path: Path) -> None:
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, SPLEEN), LIVER)
    folder = tmp_path / "report"
    assert main(case.command("--strokes", strokes, "--report", folder, "--reach", "0mm")) == 0
    content = json.loads((folder / "report.json").read_text())
    voxel = abs(np.linalg.det(case.affine[:3, :3])) / 1000
    sizes = {organ["label"]: (organ["before"], organ["after"]) for organ in content["organs"]}
    for index in (LIVER, SPLEEN):
        expected = [(label == index).sum() * voxel for label in (case.label, case.read())]
        assert sizes[index] == pytest.approx(expected, abs=0.01)
    (stroke,) = content["strokes"]
    assert stroke["voxels"] == in_one_slice(case, SPLEEN).sum() and stroke["plane"] == "axial"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "the one that was given, corrected by hand with 1 stroke" in page and "<script" not in page
    assert "scan.nii.gz" not in page
    assert main(case.command("--strokes", strokes, "--report", folder, "--identifiers")) == 0
    assert "scan.nii.gz" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_folder_of_the_report_that_cannot_be_made_is_told_before_anything_is_computed(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, SPLEEN), LIVER)
    assert main(case.command("--strokes", strokes, "--report", strokes)) == 2
    assert "--report" in capsys.readouterr().err and not (case.folder / "out.nii.gz").exists()


def test_with_a_reach_of_0_only_the_drawn_slice_changes(case: Case) -> None:
    where = in_one_slice(case, SPLEEN)
    assert main(case.command("--strokes", case.drawn("plus.nii.gz", where, LIVER), "--reach", "0mm")) == 0
    touched = where.any(axis=(0, 2))
    assert np.array_equal(case.read()[:, ~touched], case.label[:, ~touched])
    assert not np.array_equal(case.read()[:, touched], case.label[:, touched])


def test_a_label_of_named_segments_is_taken_and_written(case: Case) -> None:
    there = in_one_slice(case, SPLEEN)
    strokes = case.drawn("plus.nii.gz", there, LIVER)
    assert main(case.command("--strokes", strokes, output="one.seg.nrrd")) == 0
    assert main(case.command("--strokes", strokes, label="one.seg.nrrd")) == 0
    assert (case.read()[there] == LIVER).all()
    kidneys = (2, 3)
    assert np.array_equal(np.isin(case.read(), kidneys), np.isin(case.label, kidneys))


def test_latents_are_written_for_the_next_correction_and_taken_by_it(case: Case) -> None:
    strokes, latents = case.drawn("plus.nii.gz", in_one_slice(case, SPLEEN), LIVER), case.folder / "latents.pt"
    assert main(case.command("--strokes", strokes, "--latents", latents)) == 0
    assert latents.is_file()
    options = ("--negative", strokes, "--latents", latents)
    assert main(case.command(*options, label="out.nii.gz", output="two.nii.gz")) == 0
    assert (case.read("two.nii.gz")[in_one_slice(case, SPLEEN)] != LIVER).all()


def test_a_student_alone_takes_strokes_too(case: Case, student_bundle: Path) -> None:
    there = in_one_slice(case, SPLEEN)
    command = case.command("--strokes", case.drawn("plus.nii.gz", there, LIVER), "--bundle", student_bundle)
    assert main(command) == 0
    assert (case.read()[there] == LIVER).all()


def test_ids_that_the_model_writes_into_files_are_those_of_label_and_strokes(case: Case, tmp_path: Path) -> None:
    bundle = tmp_path / "numbered"
    shutil.copytree(case.bundle, bundle)
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["slices"]["label_ids"] = [10, 20, 30, 40]
    path.write_text(json.dumps(config))
    case.save("label.nii.gz", 10 * case.label)
    there = in_one_slice(case, SPLEEN)
    strokes = case.drawn("plus.nii.gz", there, 10 * LIVER)
    assert main(case.command("--strokes", strokes, "--bundle", bundle)) == 0
    assert (case.read()[there] == 10 * LIVER).all()
    assert np.array_equal(case.read() == 20, case.label == 2)


def test_a_picture_is_corrected_in_pixels(
    tmp_path: Path, radiograph_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    label, strokes = np.zeros_like(picture), np.zeros_like(picture)
    label[10:30, 10:30], strokes[40, 20:30] = LIVER, LIVER
    for name, array in (("scan.png", picture), ("label.png", label), ("plus.png", strokes)):
        Image.fromarray(array).save(tmp_path / name)
    files = ["--label", tmp_path / "label.png", "--strokes", tmp_path / "plus.png", "--out", tmp_path / "out.png"]
    command = ["correct", tmp_path / "scan.png", *files, "--bundle", radiograph_bundle, "--device", "cpu", "--quiet"]
    assert main([*map(str, command)]) == 0
    assert (np.asarray(Image.open(tmp_path / "out.png"))[40, 20:30] == LIVER).all()
    assert "pixels" in capsys.readouterr().out


def no_strokes(case: Case) -> list[str]:
    return case.command()


def nothing_drawn(case: Case) -> list[str]:
    return case.command("--strokes", case.drawn("plus.nii.gz", case.label > 100, LIVER))


def unknown_id_drawn(case: Case) -> list[str]:
    return case.command("--strokes", case.drawn("plus.nii.gz", in_one_slice(case, LIVER), 77))


def unknown_id_in_the_label(case: Case) -> list[str]:
    case.save("label.nii.gz", np.where(case.label == LIVER, 77, case.label))
    return case.command("--strokes", case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER))


def strokes_of_another_grid(case: Case) -> list[str]:
    strokes = save_nifti(case.folder / "plus.nii.gz", np.ones((4, 5, 6), np.uint8), case.affine)
    return case.command("--strokes", strokes)


def label_elsewhere(case: Case) -> list[str]:
    affine = case.affine.copy()
    affine[:3, 3] += 50
    save_nifti(case.folder / "label.nii.gz", case.label, affine)
    return case.command("--strokes", case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER))


def missing_strokes(case: Case) -> list[str]:
    return case.command("--strokes", case.folder / "nowhere.nii.gz")


def unknown_lock(case: Case) -> list[str]:
    return case.command("--strokes", case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER), "--lock", "moon")


def label_overwritten(case: Case) -> list[str]:
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER)
    return case.command("--strokes", strokes, output="label.nii.gz")


def broken_latents(case: Case) -> list[str]:
    (case.folder / "latents.pt").write_text("latents")
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER)
    return case.command("--strokes", strokes, "--latents", case.folder / "latents.pt")


def latents_of_another_model(case: Case) -> list[str]:
    from monai_semgan.correction.slice_latents import SliceLatents
    from monai_semgan.networks import Latent

    SliceLatents(np.array([2]), Latent(torch.zeros(1, 3, 4))).save(case.folder / "latents.pt")
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER)
    return case.command("--strokes", strokes, "--latents", case.folder / "latents.pt")


def no_distance(case: Case) -> list[str]:
    strokes = case.drawn("plus.nii.gz", in_one_slice(case, LIVER), LIVER)
    return case.command("--strokes", strokes, "--reach=-3mm")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (no_strokes, "no strokes; give --strokes, --negative or both"),
        (nothing_drawn, "plus.nii.gz: holds no strokes"),
        (unknown_id_drawn, "plus.nii.gz: holds the label id 77; this model knows 1 liver"),
        (unknown_id_in_the_label, "label.nii.gz: holds the label id 77"),
        (strokes_of_another_grid, "plus.nii.gz: "),
        (label_elsewhere, "label.nii.gz: "),
        (missing_strokes, "nowhere.nii.gz: "),
        (unknown_lock, "unknown label 'moon'"),
        (label_overwritten, "label.nii.gz: the output would overwrite the input"),
        (latents_of_another_model, "latents.pt: holds latents of another model"),
        (broken_latents, "latents.pt: "),
        (no_distance, "-3mm is no distance"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(
    mistake: Callable[[Case], list[str]], words: str, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    command = mistake(case)
    before = {path: path.read_bytes() for path in case.folder.iterdir()}
    assert main(command) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("semgan: error: ") and shown.err.count("\n") == 1
    assert words in shown.err
    assert {path: path.read_bytes() for path in case.folder.iterdir()} == before
