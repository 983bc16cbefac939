"""`--split` and `--statistics`, read as other programs read the files of TotalSegmentator."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.outputs.organ_files import organ_keys, organ_statistics, write_organ_files
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient, save_nifti


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    affine, shape = grid((12.0, 11.0, 14.0), codes="LPS", degrees=(3.0, 2.0, 5.0))
    return save_nifti(tmp_path / "scan.nii.gz", np.round(patient(affine, shape, seed=0).array), affine)


def test_organs_go_into_files_of_their_own_with_volumes_and_mean_values(
    scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    arguments = ["segment", str(scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tiny_bundle), "--no-cleanup"]
    arguments += ["--split", str(tmp_path / "organs"), "--statistics", str(tmp_path / "numbers" / "statistics.json")]
    assert main([*arguments, "--quiet"]) == 0
    volume = read_volume(scan)
    label = read_label(tmp_path / "o.nii.gz", volume).array
    written = json.loads((tmp_path / "numbers" / "statistics.json").read_text())
    names = json.loads((tiny_bundle / "configs" / "metadata.json").read_text())
    labels = {int(i): n for i, n in names["network_data_format"]["outputs"]["pred"]["channel_def"].items() if i != "0"}
    assert list(written) == list(organ_keys(labels).values())
    assert {file.name for file in (tmp_path / "organs").iterdir()} == {f"{name}.nii.gz" for name in written}
    for index, name in organ_keys(labels).items():
        mask = nibabel.load(tmp_path / "organs" / f"{name}.nii.gz")
        wanted = label == index
        assert np.array_equal(np.asarray(mask.dataobj), wanted)  # type: ignore[attr-defined]
        assert np.allclose(mask.affine, volume.affine)  # type: ignore[attr-defined]
        assert written[name]["volume"] == pytest.approx(wanted.sum() * 12.0 * 11.0 * 14.0, rel=1e-5)
        if wanted.any():
            assert written[name]["intensity"] == pytest.approx(volume.array[wanted].mean(dtype=float), abs=1e-3)
        else:
            assert written[name]["intensity"] is None
    assert any(values["volume"] for values in written.values())


def test_many_scans_get_the_same_inside_folders_of_their_own(scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("anna", "bert"):
        (tmp_path / "scans" / f"{name}.nii.gz").write_bytes(scan.read_bytes())
    arguments = ["segment", str(tmp_path / "scans"), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle)]
    arguments += ["--split", "organs", "--statistics", "statistics.json", "--labels", "liver"]
    assert main(arguments) == 0
    for name in ("anna", "bert"):
        folder = tmp_path / "out" / name
        assert [file.name for file in (folder / "organs").iterdir()] == ["liver.nii.gz"]
        assert list(json.loads((folder / "statistics.json").read_text())) == ["liver"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--statistics", "numbers.csv", "unknown file ending; use .json"),
        ("--split", "scan.nii.gz", "is a file, a folder is needed; choose another --split"),
    ],
)
def test_places_that_cannot_be_are_refused_before_the_work(
    option: str, value: str, message: str, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", str(scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tmp_path / "none")]
    assert main([*arguments, option, str(tmp_path / value)]) == 2
    assert message in capsys.readouterr().err


def test_a_scan_named_like_an_organ_is_not_overwritten(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "liver.nii.gz", np.arange(24.0).reshape(2, 3, 4), np.eye(4))
    before, volume = path.read_bytes(), read_volume(path)
    with pytest.raises(SemganError, match="would overwrite the input"):
        write_organ_files(np.ones((2, 3, 4), np.uint8), volume, {1: "liver"}, tmp_path)
    assert path.read_bytes() == before


def test_names_are_those_of_totalsegmentator() -> None:
    names = ["liver", "Right kidney", "left_kidney", "oesophagus", "inferior vena cava", "left adrenal gland", "Tumour"]
    wanted = ["liver", "kidney_right", "kidney_left", "esophagus", "inferior_vena_cava", "adrenal_gland_left", "Tumour"]
    assert list(organ_keys(dict(enumerate(names, 1))).values()) == wanted


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=6))
@example(["", "", "", "5", ""])
def test_every_organ_has_a_file_name_of_its_own(names: list[str]) -> None:
    keys = list(organ_keys(dict(enumerate(names, 1))).values())
    assert len({key.lower() for key in keys}) == len(names)
    assert not any(set(key) & set('/\\:*?"<>|. \0\n') or not key for key in keys)


def test_areas_of_single_images_are_no_volumes() -> None:
    label = np.array([[[1], [0]], [[1], [0]]], np.uint8)
    image = np.array([[[3.0], [9.0]], [[5.0], [9.0]]], np.float32)
    picture = Volume(image, np.eye(4), modality="DX", spacing_known=False)
    assert organ_statistics(label, picture, {1: "heart"}) == {"heart": {"pixels": 2.0, "intensity": 4.0}}
    radiograph = Volume(image, np.diag([0.2, 0.5, 7.0, 1.0]), modality="DX")
    assert organ_statistics(label, radiograph, {1: "heart"}) == {"heart": {"area": 0.2, "intensity": 4.0}}


@pytest.mark.parametrize("output", ["o.dcm", "o_rtstruct"])
def test_a_header_that_is_not_valid_costs_a_note_and_not_the_result(
    output: str, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    affine, shape = grid((12.0, 12.0, 14.0), codes="LPS")
    slices = datasets(np.round(patient(affine, shape, seed=0).array), affine)
    for dataset in slices:
        birth = pydicom.DataElement("PatientBirthDate", "DA", "1981/03/02", validation_mode=pydicom.config.IGNORE)
        dataset.add(birth)
    write_series(tmp_path / "series", slices)
    arguments = ["segment", str(tmp_path / "series"), "-o", str(tmp_path / output), "--bundle", str(tiny_bundle)]
    assert main([*arguments, "--no-cleanup"]) == 0
    shown = capsys.readouterr()
    assert "PatientBirthDate mended" in shown.err + shown.out and "1981" not in shown.err + shown.out
    file = tmp_path / output if output.endswith(".dcm") else tmp_path / output / "RTSTRUCT.dcm"
    assert pydicom.dcmread(file).PatientBirthDate == "19810302"
