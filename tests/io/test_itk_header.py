"""What ITK leaves out of the headers of NRRD and MetaImage: units, intensity functions, axes without spacing."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_semgan.errors import SemganError
from monai_semgan.io.itk import affine_of, quiet_itk
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.label_app.grids import read_grid
from tests.io.test_itk import mha, nrrd

STORED = np.arange(120, dtype=np.int16).reshape(6, 5, 4).T
NO_SPACE = {"space": "none"}
FOUR = {"dimension": "4", "sizes": "4 5 6 1"}
VECTORS = "(2,0,0) (0,2,0) (0,0,3)"


def directions(text: str, more: str = "") -> str:
    return f"space directions: {text}\nspace origin: (0,0,0){more}"


def plain_nrrd(path: Path, spacing: str, **fields: str) -> Path:
    """An NRRD file without any space."""
    nrrd(path, spacing=spacing, **fields)
    path.write_bytes(path.read_bytes().replace(b"space: left-posterior-superior\n", b""))
    return path


def seen_by_itk(path: Path) -> np.ndarray:
    with quiet_itk():
        return affine_of(SimpleITK.ReadImage(str(path)))


NRRD_UNITS = {
    '"mm" "mm" "mm"': (1, 1, 1),
    '"" "" ""': (1, 1, 1),
    '"cm" "cm" "cm"': (10, 10, 10),
    '"um" "um" "um"': (1e-3, 1e-3, 1e-3),
    '"microns" "microns" "microns"': (1e-3, 1e-3, 1e-3),
    '"m" "m" "m"': (1000, 1000, 1000),
    '"mm" "mm" "cm"': (1, 1, 10),
}


@pytest.mark.parametrize("units", NRRD_UNITS)
def test_lengths_of_nrrd_are_in_mm_with_a_note(units: str, tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", spacing=directions(VECTORS, f"\nspace units: {units}"))
    _same_lengths(path, NRRD_UNITS[units])
    path = plain_nrrd(tmp_path / "b.nrrd", f"spacings: 2 2 3\nunits: {units}")
    _same_lengths(path, NRRD_UNITS[units])


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("cm", 10), ("um", 1e-3), ("?", 1), ("CM", 10)])
def test_lengths_of_metaimage_are_in_mm_with_a_note(unit: str, mm: float, tmp_path: Path) -> None:
    _same_lengths(mha(tmp_path / "a.mha", DistanceUnits=unit), (mm, mm, mm))


def _same_lengths(path: Path, mm: tuple[float, ...]) -> None:
    volume = read_volume(path)
    np.testing.assert_allclose(volume.spacing, np.array([2, 2, 3]) * mm)
    assert any("converted to mm" in note for note in volume.notes) == (set(mm) != {1})
    label = (STORED > 50).astype(np.uint8)
    for name in ("l.nrrd", "l.nii.gz", "l.mha"):
        result = write_label(label, volume, path.with_name(name))
        assert np.array_equal(read_label(result, volume).array, label), name
        if name != "l.nii.gz":  # lies on the scan in 3D Slicer, which knows no units of these formats
            np.testing.assert_allclose(seen_by_itk(result), seen_by_itk(path), atol=1e-6)
    assert np.array_equal(read_label(path.with_name("l.nrrd"), read_grid(path)).array, label)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="lengths in 'furlong', which is no known unit; save it in mm"):
        read_volume(mha(tmp_path / "a.mha", DistanceUnits="furlong"))
    with pytest.raises(SemganError, match="lengths in 'pixel'"):
        units = '\nspace units: "pixel" "pixel" "pixel"'
        read_volume(nrrd(tmp_path / "a.nrrd", spacing=directions(VECTORS, units)))


@pytest.mark.parametrize(("slope", "offset"), [("1", "0"), ("2", "-1024"), ("1", "-1024"), ("0.5", "0")])
def test_the_intensity_function_of_metaimage_is_applied_with_a_note(slope: str, offset: str, tmp_path: Path) -> None:
    fields = {"ElementToIntensityFunctionSlope": slope, "ElementToIntensityFunctionOffset": offset}
    volume = read_volume(mha(tmp_path / "a.mha", **fields))
    np.testing.assert_allclose(volume.array, STORED * float(slope) + float(offset))
    assert any("intensity function" in note for note in volume.notes) == ((slope, offset) != ("1", "0"))


@pytest.mark.parametrize("slope", ["0", "nan", "two"])
def test_an_impossible_intensity_function_is_refused(slope: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="ElementToIntensityFunctionSlope is no possible slope"):
        read_volume(mha(tmp_path / "a.mha", ElementToIntensityFunctionSlope=slope))


SINGLE = {
    "list behind": {**FOUR, "spacing": directions(f"{VECTORS} none", "\nkinds: domain domain domain list")},
    "vector in front": {
        "dimension": "4",
        "sizes": "1 4 5 6",
        "spacing": directions(f"none {VECTORS}", "\nkinds: vector domain domain domain"),
    },
    "a kind of one value": {
        "dimension": "4",
        "sizes": "1 4 5 6",
        "spacing": directions(f"none {VECTORS}", "\nkinds: scalar domain domain domain"),
    },
    "time": {
        **FOUR,
        "space": "left-posterior-superior-time",
        "spacing": "space directions: (2,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)\nspace origin: (0,0,0,0)",
    },
}


@pytest.mark.parametrize("case", SINGLE)
def test_an_axis_of_one_leaves_the_place_of_nrrd_as_it_is(case: str, tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "a.nrrd", **SINGLE[case]))
    assert np.array_equal(volume.array, STORED) and not volume.notes
    np.testing.assert_allclose(volume.affine, np.diag([-2, -2, 3, 1]))


@pytest.mark.parametrize("axes", [4, 5])
def test_further_axes_of_one_leave_the_place_of_metaimage_as_it_is(axes: int, tmp_path: Path) -> None:
    fields = {
        "NDims": str(axes),
        "DimSize": "4 5 6" + " 1" * (axes - 3),
        "ElementSpacing": "2 2 3" + " 1" * (axes - 3),
        "Offset": "1 2 3" + " 0" * (axes - 3),
        "TransformMatrix": " ".join(str(int(n)) for n in np.eye(axes).ravel()),
    }
    volume = read_volume(mha(tmp_path / "a.mha", **fields))
    assert np.array_equal(volume.array, STORED)
    np.testing.assert_allclose(volume.affine, [[-2, 0, 0, -1], [0, -2, 0, -2], [0, 0, 3, 3], [0, 0, 0, 1]])
    np.testing.assert_allclose(read_grid(tmp_path / "a.mha").affine, volume.affine)


def test_several_time_points_are_refused(tmp_path: Path) -> None:
    four = {"NDims": "4", "DimSize": "4 5 3 2", "ElementSpacing": "2 2 3 1", "Offset": "0 0 0 0"}
    four["TransformMatrix"] = " ".join(str(int(n)) for n in np.eye(4).ravel())
    with pytest.raises(SemganError, match="4-dimensional image of shape 4x5x3x2, but a volume has 3 dimensions"):
        read_volume(mha(tmp_path / "a.mha", **four))


SPACES = {
    "left-posterior-superior": (-2, -2, 3, True),
    "right-anterior-superior": (2, 2, 3, True),
    "left-anterior-superior": (-2, 2, 3, True),
    "RAS": (2, 2, 3, True),
    "scanner-xyz": (-2, -2, 3, False),
    "3D-left-handed": (-2, -2, 3, False),
}


@pytest.mark.parametrize("space", SPACES)
def test_every_space_of_nrrd_is_where_itk_has_it_and_others_than_the_patient_s_are_told(
    space: str, tmp_path: Path
) -> None:
    path, (*steps, placed) = nrrd(tmp_path / "a.nrrd", space=space), SPACES[space]
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, np.diag([*steps, 1]))
    np.testing.assert_allclose(volume.affine, seen_by_itk(path))
    assert any("front to back" in note for note in volume.notes) != placed


def test_a_spacing_that_only_the_ends_of_axes_tell_is_refused_for_itk_takes_it_for_1(tmp_path: Path) -> None:
    path = plain_nrrd(tmp_path / "a.nrrd", "axis mins: 0 0 0\naxis maxs: 8 10 18")
    np.testing.assert_allclose(np.abs(np.diag(seen_by_itk(path))), 1)
    with pytest.raises(SemganError, match="by the ends of its axes only, which ITK does not read"):
        read_volume(path)


REFUSED = {
    "no direction": (directions("(2,0,0) (0,2,0) none"), {}, "does not tell the voxel spacing"),
    "bzip2": (directions(VECTORS), {"encoding": "bzip2"}, "compressed by bzip2 are not supported; save it with gzip"),
    "axes without a place": (directions(f"{VECTORS} none"), FOUR, "not every axis of the image has a direction"),
    "an unknown space": (directions(VECTORS), {"space": "foo"}, "the header cannot be understood"),
    "units that ITK does not read": (directions(VECTORS, "\nspace units: mm mm mm"), {}, "cannot be understood"),
    "spacings in a space": ("spacings: 2 2 3", {}, "gives spacings where its space asks for directions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_for_what_it_is(case: str, tmp_path: Path) -> None:
    spacing, fields, message = REFUSED[case]
    path = nrrd(tmp_path / "a.nrrd", spacing=spacing, **fields)
    if fields.get("encoding") == "bzip2":
        header, content = path.read_bytes().replace(b"encoding: raw", b"encoding: bzip2").split(b"\n\n", 1)
        path.write_bytes(header + b"\n\n" + bz2.compress(content))
    with pytest.raises(SemganError, match=message) as caught:
        read_volume(path)
    assert "cut off" not in str(caught.value)
