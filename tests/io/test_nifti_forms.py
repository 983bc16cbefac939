"""A header tells two places, or none: results lie on the scan where ITK and 3D Slicer see it, and a note says so."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.itk import affine_of, quiet_itk
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments
from tests.phantoms import grid

SHAPE = (6, 5, 4)
PLAIN = np.array([[-2.0, 0, 0, 9], [0, -2.0, 0, 9], [0, 0, 3.0, 0], [0, 0, 0, 1]])
ENDINGS = (".nrrd", ".mha", ".seg.nrrd", ".nii", ".nii.gz")
SEGMENTS = Segments({1: "liver"}, "model", "1")


def moved(axis: int, mm: float) -> np.ndarray:
    affine = PLAIN.copy()
    affine[axis, 3] += mm
    return affine


def mirrored(same_origin: bool) -> np.ndarray:
    affine = PLAIN.copy()
    affine[:3, 0] *= -1
    affine[0, 3] -= 0 if same_origin else 10
    return affine


def sheared() -> np.ndarray:
    affine = PLAIN.copy()
    affine[0, 1] = 0.7
    return affine


SFORMS = {
    "50 mm up": moved(2, 50.0),
    "mirrored": mirrored(False),
    "mirrored about its corner": mirrored(True),
    "scaled": PLAIN @ np.diag([1.3, 1.3, 1.3, 1.0]),
    "sheared": sheared(),
    "turned": grid((12.0, 10.0, 12.0), degrees=(10.0, 20.0, 30.0))[0],
    "the same": PLAIN.copy(),
}


def values() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


def organ() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 1:4, 1:] = 1
    return label


def scan(path: Path, sform: np.ndarray, codes: tuple[int, int], kind: type = nibabel.Nifti1Image) -> Path:
    """A scan whose qform is `PLAIN`; codes of qform and sform."""
    image = kind(values(), PLAIN)
    image.set_qform(PLAIN, codes[0])
    image.set_sform(sform, codes[1])
    nibabel.save(image, path)
    return path


def seen_by_itk(path: Path) -> np.ndarray | None:
    with quiet_itk():
        try:
            return affine_of(SimpleITK.ReadImage(str(path)))
        except RuntimeError:  # ITK takes no sheared form
            return None


def agree(path: Path, folder: Path) -> None:
    """Labels in every format lie on the scan as ITK sees both."""
    place, volume = seen_by_itk(path), read_volume(path)
    for ending in ENDINGS:
        result = write_label(organ(), volume, folder / f"organs{ending}", SEGMENTS)
        if place is not None:
            np.testing.assert_allclose(seen_by_itk(result), place, atol=1e-3, err_msg=ending)
        assert np.array_equal(read_label(result, volume, names={1: "liver"}).array, organ()), ending


@pytest.mark.parametrize("name", SFORMS)
def test_results_lie_on_the_scan_whatever_the_codes_of_its_forms(name: str, tmp_path: Path) -> None:
    for codes in product((0, 1, 2, 4), repeat=2):
        agree(scan(tmp_path / "scan.nii", SFORMS[name], codes), tmp_path)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair])
def test_results_in_nifti_keep_both_forms_and_their_codes(kind: type, tmp_path: Path) -> None:
    path = tmp_path / ("scan.hdr" if kind is nibabel.Nifti1Pair else "scan.nii")
    scan(path.with_suffix(".img" if kind is nibabel.Nifti1Pair else ".nii"), SFORMS["50 mm up"], (1, 2), kind)
    result = nibabel.load(write_label(organ(), read_volume(path), tmp_path / "organs.nii.gz"))
    assert (int(result.header["qform_code"]), int(result.header["sform_code"])) == (1, 2)
    np.testing.assert_allclose(result.get_qform(), PLAIN, atol=1e-5)
    np.testing.assert_allclose(result.get_sform(), SFORMS["50 mm up"], atol=1e-5)


def test_a_note_says_that_the_forms_differ_which_is_taken_and_that_sides_change(tmp_path: Path) -> None:
    (note,) = read_volume(scan(tmp_path / "a.nii", SFORMS["50 mm up"], (1, 2))).notes
    assert "up to 50 mm apart" in note and "the qform is taken, as 3D Slicer does" in note and "sides" not in note
    (note,) = read_volume(scan(tmp_path / "a.nii", SFORMS["50 mm up"], (2, 1))).notes
    assert "the sform is taken, as 3D Slicer does" in note
    (note,) = read_volume(scan(tmp_path / "a.nii", SFORMS["mirrored"], (1, 2))).notes
    assert "By the sform the voxel axes run RPS instead of LPS, with left and right changed: check the sides" in note


@pytest.mark.parametrize(("mm", "told"), [(0.9, False), (1.1, True)])
def test_half_a_voxel_is_told_and_less_is_not(mm: float, told: bool, tmp_path: Path) -> None:
    path = scan(tmp_path / "a.nii", moved(0, mm), (1, 2))
    assert bool(read_volume(path).notes) == told
    agree(path, tmp_path)


def test_anatomy_follows_the_form_that_is_taken(tmp_path: Path) -> None:
    for codes, taken in {(1, 2): PLAIN, (2, 1): SFORMS["mirrored"], (0, 2): SFORMS["mirrored"], (3, 0): PLAIN}.items():
        affine = read_volume(scan(tmp_path / "a.nii", SFORMS["mirrored"], codes)).affine
        np.testing.assert_allclose(affine, taken, atol=1e-4)


@pytest.mark.parametrize("name", ["50 mm up", "mirrored", "turned"])
def test_labels_of_every_program_are_taken_and_others_are_not(name: str, tmp_path: Path) -> None:
    """ITK's file of the scan's place, and NIfTI with one of the forms."""
    path = scan(tmp_path / "scan.nii", SFORMS[name], (1, 2))
    image = read_volume(path)
    drawn = SimpleITK.GetImageFromArray(organ().T)
    drawn.CopyInformation(SimpleITK.ReadImage(str(path)))
    for ending in (".nrrd", ".mha", ".nii.gz"):
        SimpleITK.WriteImage(drawn, str(tmp_path / f"itk{ending}"))
        assert np.array_equal(read_label(tmp_path / f"itk{ending}", image).array, organ()), ending
    for form in (PLAIN, SFORMS[name]):
        nibabel.save(nibabel.Nifti1Image(organ(), form), tmp_path / "one.nii.gz")
        assert np.array_equal(read_label(tmp_path / "one.nii.gz", image).array, organ())
    nibabel.save(nibabel.Nifti1Image(organ(), moved(1, 20.0)), tmp_path / "elsewhere.nii.gz")
    with pytest.raises(SemganError, match="different places"):
        read_label(tmp_path / "elsewhere.nii.gz", image)


def test_a_scan_without_any_form_keeps_its_reading_and_lends_itk_s_place_to_results(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.nii", PLAIN, (0, 0))
    agree(path, tmp_path)
    volume = read_volume(path)
    (note,) = volume.notes
    assert "back to front" in note and "3D Slicer assumes front to back" in note
    np.testing.assert_allclose(volume.affine, nibabel.load(path).affine)


def with_field(path: Path, field: str, value: object) -> Path:
    data = bytearray(path.read_bytes())
    dtype, offset = nibabel.Nifti1Header.template_dtype.fields[field][:2]
    content = np.asarray(value, dtype=dtype.base).tobytes()
    data[offset : offset + len(content)] = content
    path.write_bytes(data)
    return path


ODD = {
    "negative spacing": ("pixdim", [1, -2, 2, 3]),
    "no spacing beside a form": ("pixdim", [1, 2, 2, 0]),
    "spacing of no number": ("pixdim", [1, 2, np.nan, 3]),
    "metres": ("xyzt_units", 1),
    "microns": ("xyzt_units", 3),
    "no handedness": ("pixdim", [0, 2, 2, 3]),
    "a quaternion that is too long": ("quatern_b", 1.001),
    "a code that nothing defines": ("sform_code", 9),
    "a negative code": ("qform_code", -1),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("codes", [(0, 1), (1, 0), (1, 1), (1, 2), (0, 0)])
def test_odd_headers_are_refused_or_results_lie_on_the_scan(odd: str, codes: tuple, tmp_path: Path) -> None:
    path = with_field(scan(tmp_path / "a.nii", PLAIN, codes), *ODD[odd])
    try:
        read_volume(path)
    except SemganError as error:
        assert "spacing 2 x" in str(error) and "not possible" in str(error)
    else:
        agree(path, tmp_path)


def test_a_form_and_a_spacing_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    volume = read_volume(with_field(scan(tmp_path / "a.nii", PLAIN, (0, 1)), "pixdim", [1, 1, 1, 1]))
    assert "contradicts its sform: measures follow the sform" in volume.notes[0]
    np.testing.assert_allclose(volume.spacing, [2, 2, 3], atol=1e-5)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    degrees=st.tuples(*[st.floats(-180.0, 180.0)] * 3),
    shift=st.tuples(*[st.floats(-80.0, 80.0)] * 3),
    flips=st.tuples(*[st.sampled_from([1.0, -1.0])] * 3),
    codes=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_any_two_forms_give_results_on_the_scan(
    tmp_path: Path, degrees: tuple, shift: tuple, flips: tuple, codes: tuple
) -> None:
    sform = grid((12.0, 10.0, 12.0), degrees=degrees)[0] @ np.diag([*flips, 1.0])
    sform[:3, :3] *= np.array([2.0, 2.0, 3.0]) / np.linalg.norm(sform[:3, :3], axis=0)
    sform[:3, 3] = PLAIN[:3, 3] + shift
    agree(scan(tmp_path / "scan.nii", sform, codes), tmp_path)


def test_segments_that_lie_by_the_other_form_are_taken_and_those_by_neither_are_not(tmp_path: Path) -> None:
    image = read_volume(scan(tmp_path / "scan.nii", SFORMS["50 mm up"], (1, 2)))
    for form, fits in ((PLAIN, True), (SFORMS["50 mm up"], True), (moved(0, 1.0), False)):
        path = write_label(organ(), Volume(values(), form), tmp_path / "l.seg.nrrd", SEGMENTS)
        if fits:
            assert np.array_equal(read_label(path, image, names={1: "liver"}).array, organ())
        else:
            with pytest.raises(SemganError, match="another grid than the image"):
                read_label(path, image, names={1: "liver"})
