"""What a user of `semgan` notices: results, exit codes, one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.cli import main
from tests.phantoms import save_nifti


def segment(scan: Path, out: Path, bundle: Path, *options: str) -> int:
    return main(["segment", str(scan), "--output", str(out), "--bundle", str(bundle), "--device", "cpu", *options])


def test_help_loads_none_of_the_large_libraries() -> None:
    code = (
        "import sys; from monai_semgan.cli import main; code = main(['--help']);"
        "assert code == 0 and not {'torch', 'monai', 'numpy', 'scipy', 'nibabel'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("segment", "selfcheck", "sample", "info", "train"):
        assert command in done.stdout


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert", "refine"])
def test_every_mode_writes_labels_on_the_grid_of_the_scan(
    mode: str, ct_scan: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "label.nii.gz"
    assert segment(ct_scan, out, tiny_bundle, "--mode", mode, "--steps", "2") == 0
    scan, label = nibabel.load(ct_scan), nibabel.load(out)
    assert label.shape == scan.shape
    assert np.allclose(label.affine, scan.affine, atol=1e-5)
    assert label.get_data_dtype() == np.uint8
    assert set(np.unique(label.dataobj)) <= {0, 1, 2, 3, 4}
    shown = capsys.readouterr()
    assert "liver" in shown.out and " ml" in shown.out
    assert "/2" in shown.err if mode in ("invert", "refine") else True
    assert [p.name for p in out.parent.iterdir()] == ["label.nii.gz"]


def test_labels_restricts_the_result_and_maps_are_written(
    mr_scan: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, maps, picture = tmp_path / "label.nii", tmp_path / "maps", tmp_path / "overlay.png"
    options = ("--labels", "Right_kidney,4", "--maps", str(maps), "--overlay", str(picture), "--no-cleanup")
    assert segment(mr_scan, out, tiny_bundle, "--mode", "invert", *options) == 0
    assert set(np.unique(nibabel.load(out).dataobj)) <= {0, 2, 4}
    names = {path.name.split(".")[0] for path in maps.iterdir()}
    assert names == {"uncertainty", "reconstruction", "residual", "probability_right_kidney", "probability_spleen"}
    scan = nibabel.load(mr_scan)
    for path in maps.iterdir():
        assert nibabel.load(path).shape == scan.shape
        assert np.isfinite(nibabel.load(path).get_fdata()).all()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "MR" in capsys.readouterr().out


def test_batch_size_does_not_change_the_result(ct_scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    labels = []
    for size in ("1", "7"):
        out = tmp_path / f"{size}.nii.gz"
        assert segment(ct_scan, out, tiny_bundle, "--quiet", "--batch-size", size) == 0
        labels.append(np.asarray(nibabel.load(out).dataobj))
    assert (labels[0] != labels[1]).mean() < 1e-3


def test_info_tells_versions_model_and_measured_dice_as_json(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tiny_bundle / "models" / "model.json"
    record.write_text(json.dumps({"dice": {"CT": {"preview": {"liver": 0.9, "mean": 0.8}}}}))
    try:
        assert main(["info", "--json", "--bundle", str(tiny_bundle)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert main(["info", "--bundle", str(tiny_bundle)]) == 0
        told = capsys.readouterr().out
        assert "preview: liver 0.900, mean 0.800" in told
        assert " 1 liver         CT 0.90\n" in told and " 4 spleen        not measured\n" in told
    finally:
        record.unlink()
    assert facts["bundle"]["labels"] == {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
    assert facts["bundle"]["dice_of_labels"] == {"1": {"CT": 0.9}}
    assert len(facts["bundle"]["weights_sha256"]) == 64
    assert facts["dice"]["CT"]["preview"]["mean"] == 0.8
    assert facts["libraries"]["torch"]


def test_sample_writes_a_sheet_pairs_and_a_patient_that_seeds_repeat(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for name in ("a", "b"):
        command = ["sample", "--out", str(tmp_path / name), "--count", "3", "--seed", "5", "--bundle", str(tiny_bundle)]
        assert main([*command, "--quiet"]) == 0
    pictures = sorted(p.name for p in (tmp_path / "a" / "slices").iterdir())
    assert pictures == [f"slice_000{i}_{kind}.png" for i in range(3) for kind in ("image", "label")]
    label = np.asarray(Image.open(tmp_path / "a" / "slices" / pictures[1]))
    assert label.max() <= 4
    assert (tmp_path / "a" / "sheet.png").exists()
    image, label = (nibabel.load(tmp_path / "a" / f"patient_005_{kind}.nii.gz") for kind in ("image", "label"))
    assert image.shape == label.shape and np.array_equal(image.affine, label.affine)
    assert nibabel.aff2axcodes(image.affine) == ("L", "A", "S")
    assert np.asarray(image.dataobj).min() >= -125 and np.asarray(image.dataobj).max() <= 275
    again = nibabel.load(tmp_path / "b" / "patient_005_image.nii.gz")
    assert np.array_equal(image.dataobj, again.dataobj)


def test_selfcheck_prints_volumes_and_dice_and_saves_a_picture(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["selfcheck", "--out", str(tmp_path), "--bundle", str(tiny_bundle)]) == 0
    shown = capsys.readouterr().out
    assert "self-consistency" in shown and shown.count("liver") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "patient_000_image.nii.gz",
        "patient_000_label.nii.gz",
        "patient_000_overlay.png",
    ]


def test_selfcheck_with_a_scan_segments_that_scan(ct_scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    assert main(["selfcheck", str(ct_scan), "--out", str(tmp_path / "r"), "--bundle", str(tiny_bundle)]) == 0
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["scan_label.nii.gz", "scan_overlay.png"]


def test_a_scan_without_organs_is_said_to_have_none(
    tiny_bundle: Path,
    ct_scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from monai_semgan.networks import InversionSegmenter

    def nothing(self, image):  # type: ignore[no-untyped-def]
        return image.new_zeros(len(image), 5, *image.shape[2:]).index_fill_(1, image.new_tensor([0]).long(), 9.0)

    monkeypatch.setattr(InversionSegmenter, "preview", nothing)
    assert segment(ct_scan, tmp_path / "o.nii.gz", tiny_bundle) == 0
    assert "No organ was found" in capsys.readouterr().err


def test_module_call_is_the_same_as_the_command(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "monai_semgan", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("semgan ")


def test_train_from_the_command_line_gives_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.phantoms import save_datalist, save_patient

    grid = {"spacing": (8.0, 8.0, 16.0)}
    entries = [save_patient(tmp_path, name, **grid) for name in ("anna", "bertha")]
    data = save_datalist(tmp_path, training=entries[:1], validation=entries[1:])
    command = ["train", "student", "--data", str(data), "--out", str(tmp_path / "run"), "--steps", "2"]
    small = ["--size", "32", "--pixel-mm", "11", "--batch-size", "2", "--device", "cpu", "--quiet"]
    assert main([*command, *small]) == 0
    assert "student: finished after 2 steps" in capsys.readouterr().out
    assert list((tmp_path / "run").rglob("*.pt"))


def test_scan_is_never_overwritten(ct_scan: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ct_scan.read_bytes()
    assert segment(ct_scan, ct_scan, tiny_bundle) == 2
    assert ct_scan.read_bytes() == before
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["abdomen_ct/images/ct_00.nii.gz", "abdomen_mr_t2/images/mr_02.nii.gz"])
def test_real_scans_give_labels_on_their_grid(name: str, data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "label.nii.gz"
    assert main(["segment", str(data_folder / name), "--output", str(out), "--quiet", "--device", "cpu"]) == 0
    scan, label = nibabel.load(data_folder / name), nibabel.load(out)
    assert label.shape == scan.shape and np.allclose(label.affine, scan.affine)
    millilitres = np.bincount(np.asarray(label.dataobj).ravel(), minlength=5) * abs(np.linalg.det(scan.affine)) / 1000
    assert 700 < millilitres[1] < 3500, "liver"
    assert (millilitres[2:4] > 40).all() and (millilitres[2:4] < 500).all(), "kidneys"
    assert 40 < millilitres[4] < 1500, "spleen"


def test_constant_scan_is_refused_in_one_line(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = save_nifti(tmp_path / "flat.nii.gz", np.zeros((9, 9, 9), np.float32))
    assert segment(scan, tmp_path / "o.nii.gz", tiny_bundle) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("semgan: error:") and "flat.nii.gz" in shown and shown.count("\n") == 1
