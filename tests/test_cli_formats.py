"""`semgan segment` takes DICOM and writes whatever the ending says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from monai_semgan.cli import main
from monai_semgan.data.volume import read_label, read_volume
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient


@pytest.fixture
def series(tmp_path: Path) -> Path:
    affine, shape = grid((12.0, 12.0, 14.0), codes="LPS", degrees=(3.0, 2.0, 5.0))
    stack = datasets(np.round(patient(affine, shape, seed=0).array), affine)
    return write_series(tmp_path / "series", stack)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".seg.nrrd"])
def test_dicom_in_and_any_format_out(suffix: str, series: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    assert (
        main(["segment", str(series), "-o", str(output), "--bundle", str(tiny_bundle), "--quiet", "--no-cleanup"]) == 0
    )
    assert read_label(output, read_volume(series)).array.shape == read_volume(series).array.shape


def test_a_zip_in_and_a_dicom_segmentation_out(
    series: Path, tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    pytest.importorskip("highdicom")
    path = shutil.make_archive(str(tmp_path / "scan"), "zip", series)
    options = ["--bundle", str(tiny_bundle), "--quiet", "--no-cleanup", "--series", "4"]
    code = main(["segment", path, "-o", str(tmp_path / "out.dcm"), *options])
    said = "".join(capfd.readouterr())
    assert "ecret" not in said
    if code == 0:
        algorithm = pydicom.dcmread(tmp_path / "out.dcm").SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
        assert algorithm[0].AlgorithmName == "SemGAN abdomen"
    else:  # random weights may find nothing
        assert "no organ was found" in said


def test_a_format_that_the_input_does_not_allow_is_refused_at_once(
    ct_scan: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    pytest.importorskip("highdicom")
    for output in ("out.dcm", "rtstruct"):
        assert main(["segment", str(ct_scan), "-o", str(tmp_path / output), "--bundle", "missing"]) != 0
        error = capfd.readouterr().err
        assert "the input is none" in error and error.count("\n") == 1
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / "o.nii"), "--series", "4"]) != 0
    assert "only DICOM has series" in capfd.readouterr().err
