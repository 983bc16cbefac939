"""`semgan segment` takes DICOM and writes whatever the ending says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from monai_semgan.cli import main
from monai_semgan.io.reading import read_label, read_volume
from tests.dicom_phantoms import datasets, enhanced, radiograph, save, write_series
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


def by_tool(*tool: str) -> Callable[[Path], None]:
    def compress(file: Path) -> None:
        if not shutil.which(tool[0]):
            pytest.skip(f"{tool[0]} of DCMTK is not installed")
        subprocess.run([*tool, str(file), str(file)], check=True)

    return compress


COMPRESSED = {
    "RLE": (by_tool("dcmcrle"), "1.2.840.10008.1.2.5"),
    "JPEG-LS": (by_tool("dcmcjpls"), "1.2.840.10008.1.2.4.80"),
    "lossless JPEG": (by_tool("dcmcjpeg", "+e1"), "1.2.840.10008.1.2.4.70"),
    "lossless JPEG, any predictor": (by_tool("dcmcjpeg", "+el"), "1.2.840.10008.1.2.4.57"),
    "deflated": (by_tool("dcmconv", "+td"), "1.2.840.10008.1.2.1.99"),
    "big endian": (by_tool("dcmconv", "+tb"), "1.2.840.10008.1.2.2"),
    "implicit": (by_tool("dcmconv", "+ti"), "1.2.840.10008.1.2"),
}
"""JPEG 2000, which DCMTK does not write, is in data/test_dicom.py."""


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_series_gives_the_same_labels(
    kind: str, series: Path, tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    compress, syntax = COMPRESSED[kind]
    plain = read_volume(series)
    for file in series.iterdir():
        compress(file)
        assert pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    options = ["--bundle", str(tiny_bundle), "--quiet", "--no-cleanup"]
    assert main(["segment", str(series), "-o", str(tmp_path / "o.nii.gz"), *options]) == 0
    assert np.array_equal(read_volume(series).array, plain.array)
    assert read_label(tmp_path / "o.nii.gz", plain).array.shape == plain.array.shape
    assert "ecret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("option", ["+eb", "+ee", "+es", "+ep"])
def test_radiographs_in_every_kind_of_jpeg_are_read(option: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:64, :72]
    stored = (columns * 30 + rows * 10).astype(np.uint16) if option == "+ee" else (columns * 3).astype(np.uint8)
    tags = {"BitsStored": 12, "HighBit": 11} if option == "+ee" else {}
    path = save(radiograph(stored, **tags), tmp_path / "a.dcm")
    by_tool("dcmcjpeg", option)(path)
    assert np.abs(read_volume(path).array[:, :, 0].T - stored.astype(int)).max() <= 9


def test_the_largest_of_several_series_is_taken_the_user_is_told_and_may_choose(
    series: Path, tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    affine, shape = grid((12.0, 12.0, 30.0), codes="LPS")
    array = np.round(patient(affine, shape, "MR", seed=0).array)
    other = datasets(array, affine, "MR", (1, 0), SeriesInstanceUID="1.2.7", SeriesNumber=7)
    write_series(series / "more", other)
    options = ["--bundle", str(tiny_bundle), "--quiet", "--no-cleanup"]
    assert main(["segment", str(series), "-o", str(tmp_path / "o.nii.gz"), *options]) == 0
    shown = capfd.readouterr()
    assert f"Series 4 (CT, {read_volume(series).array.shape[2]} images) is taken, the largest CT or MR" in shown.err
    assert f"7 (MR, {shape[2]} images): --series chooses" in shown.err
    assert main(["segment", str(series), "-o", str(tmp_path / "o.nii.gz"), *options, "--series", "7"]) == 0
    assert f"MR, {'x'.join(map(str, shape))} voxels" in capfd.readouterr().out
    assert main(["segment", str(series), "-o", str(tmp_path / "o.nii.gz"), *options, "--series", "8"]) == 2
    assert "there is no series 8; there are 4 (CT" in capfd.readouterr().err


def test_an_enhanced_multi_frame_file_is_segmented(tiny_bundle: Path, tmp_path: Path) -> None:
    affine, shape = grid((12.0, 12.0, 14.0), codes="LPS", degrees=(3.0, 2.0, 5.0))
    array = np.round(patient(affine, shape, seed=0).array / 2) * 2
    path = save(enhanced(array, affine, np.random.default_rng(0).permutation(shape[2])), tmp_path / "a.dcm")
    options = ["--bundle", str(tiny_bundle), "--quiet", "--no-cleanup"]
    assert main(["segment", str(path), "-o", str(tmp_path / "o.nii.gz"), *options]) == 0
    assert read_label(tmp_path / "o.nii.gz", read_volume(path)).array.shape == shape


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
