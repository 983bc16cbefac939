"""Names that other programs write into zips and headers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    affine, shape = grid((24.0, 24.0, 32.0))
    folder = tmp_path_factory.mktemp("names") / "series"
    write_series(folder, datasets(np.round(patient(affine, shape).array), affine))
    return folder


def zipped(series: Path, path: Path, before: bytes) -> Path:
    """A zip whose entries have any bytes before the file's name, without the mark of UTF-8."""
    place = "x" * len(before)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(place, "")
        for file in sorted(series.iterdir()):
            archive.writestr(f"{place}{file.name}", file.read_bytes())
    path.write_bytes(path.read_bytes().replace(place.encode(), before))
    return path


@pytest.mark.parametrize(
    "before",
    [b"Serie\\1\\", b"M\x81ller\\Bilder/", "Müller/".encode(), "患者/シリーズ/".encode(), b"\xff\xfe/", b"M\xfcller/"],
    ids=["backslashes", "both kinds", "UTF-8", "Japanese", "any bytes", "cp1252"],
)  # fmt: skip
def test_the_names_in_a_zip_may_be_written_by_any_program(before: bytes, series: Path, tmp_path: Path) -> None:
    volume = read_volume(zipped(series, tmp_path / "scan.zip", before))
    assert np.array_equal(volume.array, read_volume(series).array)


@pytest.mark.parametrize("before", [b"..\\..\\", b"a\\..\\..\\", b"\\tmp\\", b"\\\\server\\share\\", b"C:\\"])
def test_names_with_backslashes_lead_out_of_the_folder_no_more_than_others(
    before: bytes, series: Path, tmp_path: Path
) -> None:
    with pytest.raises(SemganError, match="leaves the folder"):
        read_volume(zipped(series, tmp_path / "scan.zip", before))


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
@pytest.mark.parametrize("name", ["Müller", "患者 1", "Mu\u0308ller", "Ærø\x85"])
def test_a_header_finds_its_voxels_whatever_letters_their_name_has(name: str, ending: str, tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    SimpleITK.WriteImage(image, str(tmp_path / f"{name}{ending}"))
    assert sorted(tmp_path.iterdir())[0].suffix in (".mhd", ".nhdr") and len(list(tmp_path.iterdir())) == 2
    assert read_volume(tmp_path / f"{name}{ending}").array.max() == 59
    next(path for path in tmp_path.iterdir() if path.suffix == ".raw").unlink()
    with pytest.raises(SemganError, match=f"data file {name[:2]}.* is missing"):
        read_volume(tmp_path / f"{name}{ending}")
