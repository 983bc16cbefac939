"""NIfTI as programs write it: names that say the wrong thing, pairs of files, scaling without sense."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_semgan.cohort.cases import find_cases
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import stem
from monai_semgan.io.itk import quiet_itk
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import write_map
from tests.io.test_nifti_forms import PLAIN, SHAPE, scan, values, with_field
from tests.phantoms import save_nifti


@pytest.mark.parametrize(("name", "compressed"), [("a.nii.gz", False), ("a.nii", True), ("A.NII.GZ", False)])
def test_the_content_tells_whether_a_file_is_compressed(name: str, compressed: bool, tmp_path: Path) -> None:
    content = scan(tmp_path / "whole.nii", PLAIN, (1, 1)).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if compressed else content)
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.array, values()) and volume.array.flags.owndata
    (tmp_path / name).write_bytes((gzip.compress(content) if compressed else content)[:-60])
    with pytest.raises(SemganError, match="cut off"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_pair_is_one_scan_whichever_of_its_files_is_given(kind: type, end: str, tmp_path: Path) -> None:
    scan(tmp_path / f"scan.img{end}", PLAIN, (1, 1), kind)
    for name in ("scan.hdr", "scan.img"):
        volume = read_volume(tmp_path / f"{name}{end}")
        assert np.array_equal(volume.array, values()) and np.allclose(volume.affine, PLAIN)
        assert stem(tmp_path / f"{name}{end}") == "scan"
    (tmp_path / f"scan.hdr{end}").unlink()
    with pytest.raises(SemganError, match=f"the file of its header, scan.hdr{end}, is missing; copy both files"):
        read_volume(tmp_path / f"scan.img{end}")


def test_a_pair_in_a_folder_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    scan(tmp_path / "scans" / "a.img", PLAIN, (1, 1), nibabel.Nifti1Pair)
    scan(tmp_path / "scans" / "b.nii", PLAIN, (1, 1))
    assert [case.name for case in find_cases(tmp_path / "scans", tmp_path / "out").cases] == ["a", "b"]


def test_a_pair_without_its_voxels_is_refused(tmp_path: Path) -> None:
    scan(tmp_path / "scan.img", PLAIN, (1, 1), nibabel.Nifti1Pair)
    (tmp_path / "scan.img").unlink()
    with pytest.raises(SemganError, match="the file of its voxels, scan.img, is missing"):
        read_volume(tmp_path / "scan.hdr")


def test_analyze_is_read_as_stored_with_a_note_that_the_patient_s_place_is_assumed(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(values(), np.diag([-2.0, 2, 3, 1])), tmp_path / "a.img")
    volume = read_volume(tmp_path / "a.hdr")
    assert np.array_equal(volume.array, values()) and np.allclose(volume.spacing, [2, 2, 3])
    assert "does not say how the patient lies" in volume.notes[0] and "Analyze 7.5" in volume.notes[1]
    result = write_map(values(), volume, tmp_path / "m.nii.gz")
    assert np.array_equal(read_volume(result).affine, volume.affine)


def test_analyze_in_other_units_is_refused(tmp_path: Path) -> None:
    image = nibabel.AnalyzeImage(values(), np.diag([-2.0, 2, 3, 1]))
    image.header["vox_units"] = b"cm"
    nibabel.save(image, tmp_path / "a.img")
    with pytest.raises(SemganError, match="lengths in cm, which programs take for mm"):
        read_volume(tmp_path / "a.hdr")


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_further_axes_of_one_are_ignored(axes: int, tmp_path: Path) -> None:
    array = values().reshape(*SHAPE, *[1] * axes)
    volume = read_volume(save_nifti(tmp_path / "a.nii.gz", array))
    assert np.array_equal(volume.array, values())
    with pytest.raises(SemganError, match=f"{3 + axes}-dimensional.*one 3D volume"):
        read_volume(save_nifti(tmp_path / "b.nii.gz", np.concatenate([array, array], -1)))


SCALINGS = {
    "as it is": (1.0, 5.0, 1.0, 5.0, ""),
    "no slope": (0.0, 0.0, 1.0, 0.0, ""),
    "no numbers": (np.nan, np.nan, 1.0, 0.0, ""),
    "an infinite slope": (np.inf, 0.0, 1.0, 0.0, ""),
    "a negative slope": (-2.0, 3.0, -2.0, 3.0, ""),
    "an intercept alone": (0.0, -1024.0, 1.0, 0.0, "intercept of -1024 has no slope"),
    "an intercept of no number": (1.0, np.nan, 1.0, 0.0, "intercept is no number"),
}


@pytest.mark.parametrize("case", SCALINGS)
def test_values_are_scaled_as_nifti_has_it_and_doubts_are_told(case: str, tmp_path: Path) -> None:
    slope, inter, times, plus, note = SCALINGS[case]
    path = with_field(scan(tmp_path / "a.nii", PLAIN, (1, 1)), "scl_slope", slope)
    volume = read_volume(with_field(path, "scl_inter", inter))
    np.testing.assert_allclose(volume.array, values() * times + plus)
    assert (note in " ".join(volume.notes)) and bool(volume.notes) == bool(note)
    again = read_volume(write_map(values(), volume, tmp_path / "m.nii"))
    np.testing.assert_allclose(again.array, values())


def test_a_scaling_that_makes_no_numbers_is_refused(tmp_path: Path) -> None:
    path = with_field(scan(tmp_path / "a.nii", PLAIN, (1, 1)), "scl_slope", 2.0)
    with pytest.raises(SemganError, match="adds what is no number"):
        read_volume(with_field(path, "scl_inter", np.inf))


def test_an_offset_of_0_does_not_make_the_header_voxels(tmp_path: Path) -> None:
    path = with_field(scan(tmp_path / "a.nii", PLAIN, (1, 1)), "vox_offset", 0.0)
    assert np.array_equal(read_volume(path).array, values())


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">u4", "<f4", ">f8"])
def test_numbers_of_every_kind_are_read_as_itk_reads_them(kind: str, tmp_path: Path) -> None:
    dtype = np.dtype(kind)
    array = np.abs(values() // 9).astype(dtype)
    image = nibabel.Nifti1Image(array, PLAIN, nibabel.Nifti1Header(endianness=">" if kind[0] == ">" else "<"))
    image.set_data_dtype(dtype)
    nibabel.save(image, tmp_path / "a.nii.gz")
    shutil.copy(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    with quiet_itk():
        stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "b.nii.gz"))).T
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, stored)
