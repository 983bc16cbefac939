"""A format from outside the package works wherever scans and labels are read and written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_semgan.cli import main
from monai_semgan.cohort.cases import find_cases
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import (
    find_writer,
    forget_format,
    label_endings,
    readable_endings,
    register_label_writer,
    register_reader,
    register_writer,
    stem,
    volume_endings,
    writable_endings,
)
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import check_label_output, write_label
from tests.phantoms import grid, patient


def read_xyz(path: Path) -> Volume:
    """Read a text file: three sizes, twelve numbers of the affine, the voxels."""
    numbers = np.array(path.read_text().split(), dtype=np.float64)
    shape = tuple(int(n) for n in numbers[:3])
    affine = np.vstack([numbers[3:15].reshape(3, 4), [0, 0, 0, 1]])
    return Volume(numbers[15:].reshape(shape).astype(np.float32), affine, path)


def write_xyz(array: np.ndarray, like: Volume, path: Path) -> None:
    """Write such a file."""
    numbers = [*array.shape, *like.affine[:3].ravel(), *array.ravel()]
    path.write_text(" ".join(f"{n:.9g}" for n in numbers))


@pytest.fixture
def xyz() -> Iterator[str]:
    """The format, as another program registers it."""
    register_reader(".xyz")(read_xyz)
    register_writer(".xyz")(write_xyz)
    yield ".xyz"
    forget_format(".xyz")


@pytest.fixture
def scan() -> Volume:
    """A small phantom, stored left to right."""
    affine, shape = grid((14.0, 14.0, 20.0), codes="LPS")
    return patient(affine, shape)


@pytest.mark.usefixtures("xyz")
def test_scans_and_labels_come_back_on_the_same_grid(tmp_path: Path, scan: Volume) -> None:
    find_writer(tmp_path / "a.xyz")(scan.array, scan, tmp_path / "a.xyz")
    again = read_volume(tmp_path / "a.xyz")
    assert np.allclose(again.array, scan.array) and np.allclose(again.affine, scan.affine)
    label = (scan.array > 0).astype(np.uint8)
    assert np.array_equal(read_label(write_label(label, scan, tmp_path / "l.xyz"), scan).array, label)


@pytest.mark.usefixtures("xyz")
def test_the_command_line_and_cohorts_take_it(tmp_path: Path, scan: Volume, tiny_bundle: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("a", "b"):
        write_xyz(scan.array, scan, scans / f"{name}.xyz")
    out = tmp_path / "organs.xyz"
    assert main(["segment", str(scans / "a.xyz"), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet"]) == 0
    assert read_label(out, scan).array.shape == scan.array.shape
    assert [case.name for case in find_cases(scans, tmp_path / "labels").cases] == ["a", "b"]


@pytest.mark.usefixtures("xyz")
def test_every_list_of_endings_knows_it() -> None:
    assert all(".xyz" in endings() for endings in (readable_endings, volume_endings, writable_endings, label_endings))
    assert stem(Path("scan.one.xyz")) == "scan.one"


@pytest.mark.usefixtures("xyz")
def test_a_taken_ending_is_refused() -> None:
    for ending in (".xyz", ".nii.gz"):
        with pytest.raises(SemganError, match="have a function already; choose another ending"):
            register_reader(ending)(read_xyz)
    with pytest.raises(SemganError, match="is no file ending"):
        register_reader("NII")(read_xyz)


def test_a_label_format_says_before_the_work_that_it_cannot_hold_a_scan(tmp_path: Path, scan: Volume) -> None:
    def refuse(like: Volume, path: Path) -> None:
        raise SemganError("holds two slices at most", path=path)

    def write(array: np.ndarray, like: Volume, path: Path, segments: Any) -> None:
        raise AssertionError("not reached")

    register_label_writer(".two", check=refuse)(write)
    try:
        with pytest.raises(SemganError, match="two slices at most"):
            check_label_output(tmp_path / "a.two", scan)
    finally:
        forget_format(".two")


def test_reading_nifti_imports_no_library_of_other_formats(tmp_path: Path, scan: Volume) -> None:
    path = tmp_path / "a.nii.gz"
    find_writer(path)(scan.array, scan, path)
    others = ("SimpleITK", "monai_semgan.io.dicom", "monai_semgan.io.image2d")
    code = (
        "import sys; from pathlib import Path; from monai_semgan.io.reading import read_volume;"
        f"read_volume(Path({str(path)!r})); print([name for name in {others} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
