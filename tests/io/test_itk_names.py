"""NRRD and MetaImage files with names that ITK does not take; here plain ones stand for these."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.io import itk_names
from monai_semgan.io.itk import read_itk, write_itk
from monai_semgan.io.volume import Volume

NO_TEXT = "name not for ITK"


@pytest.fixture(autouse=True)
def names_that_itk_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(itk_names, "is_text", lambda path: NO_TEXT not in os.fspath(path))


def folder_without_text(folder: Path) -> Path:
    (folder / NO_TEXT).mkdir()
    return folder / NO_TEXT


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["scan", NO_TEXT, "患者"])
@pytest.mark.parametrize("place", [folder_without_text, lambda folder: folder])
def test_names_that_are_no_text_are_written_and_read(
    place: Callable[[Path], Path], name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place(tmp_path))
    path = Path(f"{name}{ending}")
    label = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_itk(label, Volume(np.zeros((2, 3, 4), np.float32), np.diag([-1.0, 2.0, 3.0, 1.0])), path)
    again = read_itk(path)
    assert np.array_equal(again.array, label) and np.allclose(np.abs(again.spacing), (1, 2, 3))
    assert os.listdir() == [path.name] and again.path == path


def detached(folder: Path, name: str) -> Path:
    header = folder / f"{name}.mhd"
    (folder / "voxels.raw").write_bytes(bytes(range(24)))
    header.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
        "ElementDataFile = voxels.raw\n"
    )
    return header


def test_a_header_finds_its_voxels_in_a_folder_that_is_no_text(tmp_path: Path) -> None:
    assert read_itk(detached(folder_without_text(tmp_path), "scan")).array.max() == 23


def test_a_header_that_is_no_text_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="not UTF-8 text.*rename"):
        read_itk(detached(tmp_path, NO_TEXT))
