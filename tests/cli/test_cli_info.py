"""`semgan info SCAN` lists series of a DICOM folder by the names that `--series` takes, and tells what a scan is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.cli import main
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_volume
from monai_semgan.utils.gpu import gpu_state
from tests.dicom_phantoms import datasets, radiograph, save, several_volumes, write_series

AFFINE = np.diag([-2.0, -2.5, 3, 1])


def values(seed: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1500, (6, 4, count)).astype(np.float32)


def study(folder: Path) -> Path:
    write_series(folder / "t2", datasets(values(0), AFFINE, "MR", (1.0, 0.0), SeriesInstanceUID="1.2.3"))
    echoes: dict[tuple[float, ...], np.ndarray] = {(1,): values(1), (2,): values(2)}
    stack = several_volumes(echoes, AFFINE, ("EchoNumbers",), SeriesNumber=12, SeriesInstanceUID="1.2.12")
    write_series(folder / "echo", stack)
    (folder / "._IM0000.dcm").write_bytes(bytes(200))
    return folder


def test_every_series_is_listed_under_the_name_that_chooses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path)
    assert main(["info", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:3] == [
        "12/echo=1: MR, 5 images, 6x4x5 voxels of 2.00x2.50x3.00 mm",
        "12/echo=2: MR, 5 images, 6x4x5 voxels of 2.00x2.50x3.00 mm",
        "4: MR, 5 images, 6x4x5 voxels of 2.00x2.50x3.00 mm",
    ]
    assert f"{path}: MR, 6x4x5 voxels of 2.00x2.50x3.00 mm, axes LPS" in out
    assert "1 is no DICOM (._IM0000.dcm)" in out + err and "ecret" not in out + err


@pytest.mark.parametrize("zip_it", [False, True])
def test_programs_get_names_with_which_each_series_is_read(
    zip_it: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path / "study")
    if zip_it:
        with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
            for file in path.rglob("*"):
                archive.write(file, file.relative_to(path))
        path = tmp_path / "study.zip"
    assert main(["info", str(path), "--json", "--series", "12/echo=2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [entry["size"] for entry in facts["series"]] == [[6, 4, 5]] * 3
    for entry in facts["series"]:
        assert list(read_volume(path, series=entry["name"]).array.shape) == entry["size"]
    assert facts["scan"]["highest"] == values(2).max() and facts["scan"]["modality_by"] == "header"


def test_a_folder_without_a_volume_is_an_error_after_its_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path) / "echo"
    assert main(["info", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out.count("12/echo=") == 2 and "choose one with --series, for example --series 12/echo=1" in err
    assert main(["info", str(path), "--json"]) == 2
    facts = json.loads(capsys.readouterr().out)
    assert facts["scan"] is None and "choose one with --series" in facts["problem"] and len(facts["series"]) == 2


def test_a_series_that_is_no_volume_is_listed_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "a", datasets(values(0), AFFINE, "CT"))
    gap = datasets(values(1, 4), AFFINE, "CT", SeriesInstanceUID="1.2.5", SeriesNumber=5)
    write_series(tmp_path / "b", gap[:2] + gap[3:])
    save(radiograph(np.arange(600, dtype=np.uint16).reshape(20, 30), SeriesInstanceUID="1.2.6"), tmp_path / "x")
    assert main(["info", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "5: CT, 3 images, 6x4x4 voxels of 2.00x2.50x3.00 mm; a gap of 6 mm between" in out
    assert "4: DX, 1 image\n" in out and "slices are missing; needs --resample\n" in out


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_other_scans_are_described_and_their_modality_is_guessed(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = values(0) - 1000
    path = write_volume(array, Volume(array, np.diag([2.0, -2.5, 3, 1])), tmp_path / f"a{suffix}")
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{path}: CT, by its values, 6x4x5 voxels of 2.00x2.50x3.00 mm, axes RPS" in out
    assert f"values {array.min():g} to {array.max():g}" in out


def test_what_cannot_be_told_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["info", str(tmp_path / "none.nii.gz")], ["info", "--series", "4"], ["info", str(tmp_path)]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("semgan: error: ") and "; " in error


def test_the_reason_why_a_gpu_is_not_used_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update it.")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    gpu_state.cache_clear()
    try:
        assert main(["info", "--json"]) == 0
        device = json.loads(capsys.readouterr().out)["device"]
        assert device["name"] == "cpu" and "driver on your system is too old" in device["reason"]
        assert main(["info"]) == 0
        assert "driver on your system is too old" in capsys.readouterr().out
    finally:
        gpu_state.cache_clear()
