"""Bad scans through the command line: one line that names file, problem and remedy; exit code 2; nothing written.

Each format's own test module makes the files. What can go wrong with the place of the result (full disk, read-only
folder, kill during write) is in test_nothing_lost.py; bundles and options are in test_cli_errors.py, bad radiographs
in data/test_image2d.py.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.io.reading import read_label, read_volume
from tests.dicom_phantoms import datasets, nuclear, save, write_series
from tests.io import test_dicom, test_image2d, test_itk, test_volume
from tests.phantoms import grid, patient

Case = tuple[Callable[[Path], Path], str]

SCANS: dict[str, Case] = {
    **{f"NIfTI: {name}": case for name, case in test_volume.BAD.items()},
    **{f"NRRD, MHA: {name}": case for name, case in test_itk.BAD.items()},
    **{f"DICOM: {name}": case for name, case in test_dicom.BAD.items()},
    "picture: for volumes": (
        lambda d: test_image2d.save(d, "a.png", test_image2d.chest()[0]),
        "single image, this model segments CT or MR volumes; give a NIfTI",
    ),
    "picture: colours": (
        test_image2d.coloured,
        "single image, this model segments CT or MR volumes; give a NIfTI",
    ),
    "picture: huge": (test_image2d.huge, "too large|too many"),
}

REAL_PROCESS = (
    "NIfTI: cut off at 90%",
    "NRRD, MHA: mha gigantic",
    "DICOM: compressed pixel data damaged",
    "DICOM: zip bomb",
)
"""Also run as a process of its own: what a decoder prints past Python, or a crash of it, would show there only."""


def command(scan: Path, results: Path, bundle: Path) -> list[str]:
    out = results / "o.nii.gz"
    return ["segment", str(scan), "--output", str(out), "--bundle", str(bundle), "--device", "cpu", "--quiet"]


def check(error: str, scan: Path, message: str, folder: Path) -> None:
    assert error.count("\n") == 1 and error.startswith("semgan: error: "), error
    assert str(folder) in error and re.search(message, error), error
    assert "; " in error, "a remedy"
    assert "Traceback" not in error and "internal error" not in error and "ecret" not in error


@pytest.mark.parametrize("trouble", SCANS)
def test_a_scan_that_cannot_be_used_is_one_line(
    trouble: str,
    tmp_path: Path,
    tiny_bundle: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make, message = SCANS[trouble]
    source, results = tmp_path / "in", tmp_path / "results"
    source.mkdir()
    scan = make(source)
    with caplog.at_level(logging.DEBUG):
        assert main(command(scan, results, tiny_bundle)) == 2
    shown = capfd.readouterr()
    check(shown.err, scan, message, source)
    assert shown.out == "" and "ecret" not in caplog.text
    assert not list(results.glob("*"))


@pytest.mark.parametrize("trouble", REAL_PROCESS)
def test_a_process_says_the_same(trouble: str, tmp_path: Path, tiny_bundle: Path) -> None:
    make, message = SCANS[trouble]
    source, results = tmp_path / "in", tmp_path / "results"
    source.mkdir()
    scan = make(source)
    arguments = [sys.executable, "-m", "monai_semgan", *command(scan, results, tiny_bundle)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    check(done.stderr, scan, message, source)
    assert not list(results.glob("*"))


def stack(kind: str = "CT", **options: Any) -> list[Any]:
    affine, shape = grid((12.0, 12.0, 14.0), codes="LPS")
    array = np.round(patient(affine, shape, "CT" if kind == "CT" else "MR", seed=0).array)
    return datasets(array, affine, kind, scale=(1.0, -1024.0) if kind == "CT" else (1.0, 0.0), **options)


def unscaled(folder: Path) -> Path:
    slices = stack()
    for one in slices:
        hounsfield = np.frombuffer(one.PixelData, np.uint16).astype(np.int16) - 1024
        one.PixelData, one.PixelRepresentation = hounsfield.tobytes(), 1
        del one.RescaleSlope, one.RescaleIntercept
    return write_series(folder / "s", slices)


def nuclear_scan(folder: Path) -> Path:
    affine, shape = grid((12.0, 12.0, 14.0), codes="LPS")
    return save(nuclear(np.round(patient(affine, shape, "MR", seed=0).array), affine), folder / "a.dcm")


ODD: dict[str, Case] = {
    "PET": (lambda d: write_series(d / "s", stack("PT")), "The input is PT, the model has learnt from CT"),
    "ultrasound": (lambda d: write_series(d / "s", stack("US")), "The input is US, the model has learnt from CT"),
    "nuclear medicine": (nuclear_scan, "The input is NM, the model has learnt from CT"),
    "one slice": (lambda d: write_series(d / "s", stack()[7:8]), "There is only one slice: its thickness of 14 mm"),
    "HU without rescale": (unscaled, "no rescale slope and intercept: its values are taken as HU"),
    "no orientation": (lambda d: no_orientation(d), "does not say how the patient lies"),
}


def no_orientation(folder: Path) -> Path:
    import nibabel

    affine, shape = grid((12.0, 12.0, 14.0))
    image = nibabel.Nifti1Image(patient(affine, shape, seed=0).array, affine)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = 12.0, 12.0, 14.0
    nibabel.save(image, folder / "a.nii")
    return folder / "a.nii"


@pytest.mark.parametrize("oddity", ODD)
def test_a_scan_that_is_only_odd_goes_on_and_says_so(
    oddity: str, tmp_path: Path, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, message = ODD[oddity]
    scan, results = make(tmp_path), tmp_path / "results"
    assert main(command(scan, results, tiny_bundle)) == 0
    shown = capfd.readouterr()
    assert re.search(f"semgan: note: .*{message}", shown.err), shown.err
    assert "Traceback" not in shown.err and "ecret" not in shown.err + shown.out
    assert read_label(results / "o.nii.gz").array.shape == read_volume(scan).array.shape
