"""A map written a few planes at a time is the map written at once."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.streaming import write_map_slabs
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_map
from tests.io.test_nifti_forms import ODD, SFORMS, seen_by_itk, with_field
from tests.io.test_nifti_forms import scan as odd_scan
from tests.phantoms import grid, patient


def slabs(array: np.ndarray, planes: int) -> list[np.ndarray]:
    return [array[:, :, first : first + planes] for first in range(0, array.shape[2], planes)]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("stored", ["<i2", ">i2", "<f8"])
def test_the_file_is_the_same_as_written_at_once(tmp_path: Path, stored: str, ending: str) -> None:
    affine, shape = grid((9.0, 11.0, 13.0), codes="PSR", degrees=(5.0, 0.0, 3.0))
    header = nibabel.Nifti1Header(endianness=stored[0])
    image = nibabel.Nifti1Image(patient(affine, shape).array.astype(stored), affine, header)
    image.header["descrip"] = b"Anna"
    image.set_qform(affine, "aligned")
    nibabel.save(image, tmp_path / "scan.nii")
    scan = read_volume(tmp_path / "scan.nii")
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    at_once, by_slab = (tmp_path / f"{name}{ending}" for name in ("one", "slabs"))
    write_map(values, scan, at_once)
    write_map_slabs(slabs(values, 4), scan, by_slab)
    one, other = nibabel.load(at_once), nibabel.load(by_slab)
    assert one.header == other.header and b"Anna" not in other.header.binaryblock
    np.testing.assert_array_equal(other.get_fdata(), values.astype(np.float64))


@pytest.mark.parametrize("odd", [*ODD, "two forms"])
@pytest.mark.parametrize("codes", [(1, 2), (0, 1), (0, 0)])
def test_the_place_of_an_odd_header_is_the_same_as_written_at_once(odd: str, codes: tuple, tmp_path: Path) -> None:
    path = odd_scan(tmp_path / "scan.nii", SFORMS["mirrored"], codes)
    if odd in ODD:
        with_field(path, *ODD[odd])
    try:
        volume = read_volume(path)
    except SemganError:
        assert odd in ("no spacing beside a form", "spacing of no number") and codes != (0, 1)
        return
    at_once, by_slab = write_map(volume.array, volume, tmp_path / "a.nii"), tmp_path / "b.nii"
    write_map_slabs(slabs(volume.array, 3), volume, by_slab)
    for one in (at_once, by_slab):
        np.testing.assert_allclose(seen_by_itk(one), seen_by_itk(path), atol=1e-3)
        np.testing.assert_allclose(read_volume(one).affine, volume.affine, atol=1e-4)


def test_a_scan_that_was_not_nifti_lends_its_grid(tmp_path: Path) -> None:
    affine, shape = grid((9.0, 9.0, 12.0))
    scan = patient(affine, shape)
    written = read_volume(write_map_slabs(slabs(scan.array, 5), scan, tmp_path / "m.nii.gz"))
    np.testing.assert_allclose(written.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(written.array, scan.array)


def test_nothing_is_left_of_a_map_that_is_cut_short(tmp_path: Path) -> None:
    affine, shape = grid((9.0, 9.0, 12.0))
    scan = patient(affine, shape)
    with pytest.raises(ValueError, match="planes"):
        write_map_slabs(slabs(scan.array, 5)[:-1], scan, tmp_path / "m.nii.gz")
    with pytest.raises(ValueError, match="slab of shape"):
        write_map_slabs([scan.array[1:]], scan, tmp_path / "m.nii.gz")
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(tmp_path: Path) -> None:
    scan = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    with pytest.raises(SemganError, match="unknown file ending"):
        write_map_slabs([], scan, tmp_path / "m.mha")
