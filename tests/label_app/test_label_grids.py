"""Labels as clients store them, laid onto the grid of their scan: every program sees them where it sees the scan."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.seg_nrrd import read_seg_nrrd
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_volume
from monai_semgan.label_app.grids import lay_onto, read_grid
from monai_semgan.organs import Segments
from tests.phantoms import grid

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")
CODES = ("RAS", "LAS", "LPS", "LPI", "PSR", "SPR", "SLA", "AIL")
NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


def scan(path: Path, codes: str, degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Path:
    """A file of few voxels that differ in size along each axis."""
    affine, shape = grid((9.0, 11.0, 14.0), codes=codes, degrees=degrees, field=(60.0, 70.0, 80.0))
    volume = Volume(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), affine)
    return write_volume(volume.array, volume, path)


def drawn(path: Path, codes: str, label: Path) -> np.ndarray:
    """Write what a client makes of a scan, stored along axes of its own; return the ids along those of the scan."""
    image = read_volume(path)
    ids = (image.array % 5).astype(np.uint8)
    change = ornt_transform(nibabel.io_orientation(image.affine), axcodes2ornt(codes))
    turned = Volume(nibabel.apply_orientation(ids, change), image.affine @ inv_ornt_aff(change, ids.shape))
    write_label(turned.array, turned, label, Segments(NAMES))
    return ids


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    codes=st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)),
    degrees=st.sampled_from([(0.0, 0.0, 0.0), (12.0, -7.0, 25.0)]),
    endings=st.tuples(st.sampled_from([".nii.gz", ".nrrd", ".mha"]), st.sampled_from(ENDINGS)),
)
def test_a_label_of_any_axes_and_format_comes_to_lie_on_the_grid_of_its_scan(
    codes: tuple[str, str], degrees: tuple, endings: tuple[str, str], tmp_path: Path
) -> None:
    image = scan(tmp_path / f"scan{endings[0]}", codes[0], degrees)
    label = (
        tmp_path / f"of{endings[1].replace('.', '_')}{endings[1]}"
    )  # ITK reads `a.nii` where `a.nii.gz` is asked for
    expected = drawn(image, codes[1], label)
    assert np.array_equal(lay_onto(label, read_grid(image)).array, expected)
    stored, grid_of_scan = read_volume(label, integer=True), read_volume(image)
    assert np.array_equal(stored.array, expected)
    np.testing.assert_allclose(stored.affine, grid_of_scan.affine, atol=1e-3)
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(label))).T
    assert np.array_equal(seen, expected)


def test_a_label_that_lies_there_already_keeps_its_bytes(tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS", (5.0, 0.0, 9.0))
    for ending in ENDINGS:
        label = tmp_path / f"label{ending}"
        drawn(image, "LAS", label)
        before = label.read_bytes()
        lay_onto(label, read_grid(image))
        assert label.read_bytes() == before, ending


@pytest.mark.parametrize("codes", ["RAS", "LAS"])
def test_segments_that_3d_slicer_has_cropped_keep_place_names_and_colours(codes: str, tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    volume = read_volume(image)
    ids = np.zeros(volume.array.shape, np.uint8)
    ids[2:4, 1:5, 3:5] = 3
    ids[2, 2, 3] = 1
    corner = volume.affine.copy()
    corner[:3, 3] += corner[:3, :3] @ [2, 1, 3]
    part = Volume(ids[2:4, 1:5, 3:5], corner)
    change = ornt_transform(nibabel.io_orientation(corner), axcodes2ornt(codes))
    turned = Volume(nibabel.apply_orientation(part.array, change), corner @ inv_ornt_aff(change, part.array.shape))
    label = tmp_path / "label.seg.nrrd"
    write_label(turned.array, turned, label, Segments(NAMES))
    colours = SimpleITK.ReadImage(str(label)).GetMetaData("Segment0_Color").split()
    assert np.array_equal(lay_onto(label, read_grid(image)).array, ids)
    renamed = {10: "liver", 30: "left kidney"}
    named = read_seg_nrrd(label, volume, renamed).array
    assert np.array_equal(named == 30, ids == 3) and np.array_equal(named == 10, ids == 1)
    header = SimpleITK.ReadImage(str(label))
    assert header.GetMetaData("Segment0_Color").split() == colours
    assert header.GetMetaData("Segment0_Extent") == " ".join(f"0 {size - 1}" for size in ids.shape)


def test_a_scan_of_two_places_gets_a_label_that_has_both(tmp_path: Path) -> None:
    image = scan(tmp_path / "plain.nii", "LAS")
    stored = nibabel.load(image)
    other = stored.affine.copy()
    other[2, 3] += 30.0
    two = nibabel.Nifti1Image(np.asarray(stored.dataobj), stored.affine)
    two.set_qform(stored.affine, 1)
    two.set_sform(other, 2)
    nibabel.save(two, tmp_path / "scan.nii.gz")
    ids = (np.asarray(stored.dataobj) % 3).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(ids, other), tmp_path / "label.nii.gz")
    assert np.array_equal(lay_onto(tmp_path / "label.nii.gz", read_grid(tmp_path / "scan.nii.gz")).array, ids)
    label = nibabel.load(tmp_path / "label.nii.gz")
    np.testing.assert_allclose(label.get_qform(), stored.affine, atol=1e-3)
    np.testing.assert_allclose(label.get_sform(), other, atol=1e-3)
    assert [int(label.header[f"{form}_code"]) for form in ("qform", "sform")] == [1, 2]


def test_a_label_of_another_size_is_refused_before_its_voxels_are_read(tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    header = nibabel.Nifti1Header()
    header.set_data_shape((900, 900, 900))
    header.set_sform(np.eye(4), 1)
    (tmp_path / "label.nii").write_bytes(header.binaryblock + b"no voxels at all")
    with pytest.raises(SemganError, match="differ in shape|beyond the image"):
        lay_onto(tmp_path / "label.nii", read_grid(image))
