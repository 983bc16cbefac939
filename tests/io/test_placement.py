"""A label that fills the points of its image in space is taken, however it is stored, and no voxel of it moves."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import writable_endings
from monai_semgan.io.placement import find_placement, on_grid_of
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_volume
from tests.phantoms import grid, rotation

CODES = ["".join(letters) for order in permutations(("RL", "AP", "SI")) for letters in product(*order)]
"""All 48 orders and directions of axes."""

SCAN = {"field": (70.0, 60.0, 40.0), "spacing": (10.0, 12.0, 8.0)}
ENDINGS = sorted({*writable_endings(), ".seg.nrrd"})


def scan(codes: str, degrees: tuple[float, float, float] = (0.0, 0.0, 0.0), **options: object) -> Volume:
    """A scan with a value of its own in every voxel."""
    affine, shape = grid(codes=codes, degrees=degrees, **{**SCAN, **options})  # type: ignore[arg-type]
    return Volume(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), affine)


def along(codes: str, volume: Volume) -> Volume:
    """The same voxels at the same points, stored along other axes."""
    change = ornt_transform(nibabel.io_orientation(volume.affine), axcodes2ornt(codes))
    array = nibabel.apply_orientation(volume.array, change)
    return Volume(array, volume.affine @ inv_ornt_aff(change, volume.array.shape))


def labelled(volume: Volume) -> Volume:
    """A label of a scan, in which every plane can be told from every other."""
    return Volume((volume.array % 251).astype(np.uint8), volume.affine)


@settings(max_examples=150, deadline=None)
@given(
    codes=st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)),
    degrees=st.tuples(*[st.floats(-44.0, 44.0)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.4, 0.9, 3.0, 7.7])] * 3),
    sizes=st.tuples(*[st.integers(1, 5)] * 3),
)
def test_no_voxel_moves_whatever_the_order_and_direction_of_axes(
    codes: tuple[str, str], degrees: tuple, spacing: tuple, sizes: tuple
) -> None:
    field = tuple(size * step for size, step in zip(sizes, spacing, strict=True))
    image = scan(codes[0], degrees, spacing=spacing, field=field)
    label = labelled(image)
    placed = on_grid_of(along(codes[1], label), image)
    assert np.array_equal(placed.array, label.array)


@settings(max_examples=100, deadline=None)
@given(
    codes=st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)),
    cut=st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
def test_a_part_lies_where_it_was_cut_from(codes: tuple[str, str], cut: list[int]) -> None:
    image = scan(codes[0], (3.0, -8.0, 20.0))
    label = labelled(image)
    where = tuple(
        slice(low, size - high) for low, high, size in zip(cut[::2], cut[1::2], image.array.shape, strict=True)
    )
    affine = label.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ cut[::2]
    placed = on_grid_of(along(codes[1], Volume(label.array[where], affine)), image, part=True)
    expected = np.zeros_like(label.array)
    expected[where] = label.array[where]
    assert np.array_equal(placed.array, expected)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    codes=st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)),
    degrees=st.tuples(*[st.floats(-30.0, 30.0)] * 3),
    ending=st.sampled_from(ENDINGS),
    of_scan=st.sampled_from(sorted(writable_endings())),
)
def test_files_of_every_format_keep_their_voxels(
    codes: tuple[str, str], degrees: tuple, ending: str, of_scan: str, tmp_path: Path
) -> None:
    made = scan(codes[0], degrees)
    write_volume(made.array, made, tmp_path / f"scan{of_scan}")
    image = read_volume(tmp_path / f"scan{of_scan}")
    label = Volume((made.array % 5).astype(np.uint8), made.affine)
    turned = along(codes[1], label)
    write_label(turned.array, turned, tmp_path / f"label{ending}")
    read = read_label(tmp_path / f"label{ending}", image)
    assert np.array_equal(read.array, label.array)
    np.testing.assert_allclose(read.affine, image.affine, atol=1e-3)


def test_a_label_that_lies_there_already_is_left_alone() -> None:
    image = scan("LAS")
    label = labelled(image)
    assert on_grid_of(label, image) is label


@pytest.mark.parametrize("codes", ["RAS", "LAS", "PSR", "SPR"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: _shifted(a, 1.0), "its centre lies 1 mm away"),
        (lambda a: _shifted(a, 0.6), r"its centre lies 0\.6 mm away"),
        (lambda a: a @ np.diag([1.1, 1, 1, 1]), "its voxels measure .* those of the image"),
        (lambda a: _turned(a, 2.0), "its axes are tilted by 2 degrees"),
        (lambda a: a @ _shear(0.1), "its axes are tilted by"),
        (lambda a: a @ _shear(1.0), "lie at different places"),
        (lambda a: np.diag([-1, 1, 1, 1]) @ a, "lie at different places|beyond|differ in shape"),
    ],
    ids=["1 mm", "0.6 mm", "scaled", "tilted", "sheared", "sheared by a voxel", "mirrored"],
)
@pytest.mark.parametrize("part", [False, True])
def test_another_grid_is_refused_with_the_difference(codes: str, change, told: str, part: bool) -> None:
    image = scan("LAS")
    label = along(codes, labelled(image))
    with pytest.raises(SemganError, match=told):
        on_grid_of(Volume(label.array, change(label.affine)), image, part=part)


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("spacing", [0.35, 1.0, 5.0])
def test_a_shift_by_one_voxel_is_told_in_voxels_and_mm(spacing: float, part: bool) -> None:
    image = scan("LPS", spacing=(spacing,) * 3, field=(spacing * 5,) * 3)
    label = labelled(image)
    affine = label.affine.copy()
    affine[:3, 3] += affine[:3, 1]
    with pytest.raises(SemganError, match=rf"0 x 1 x 0 voxels, {spacing:g} mm, apart"):
        on_grid_of(Volume(label.array, affine), image, part=part)


@pytest.mark.parametrize("spacing", [0.3, 1.0, 4.0])
def test_headers_of_few_digits_are_taken(spacing: float) -> None:
    image = scan("RAS", (5.0, 0.0, 12.0), spacing=(spacing,) * 3, field=(spacing * 9,) * 3)
    label = labelled(image)
    rounded = np.round(label.affine, 2)
    assert np.array_equal(on_grid_of(along("LPI", Volume(label.array, rounded)), image).array, label.array)


def test_a_part_that_reaches_beyond_the_image_is_refused_with_how_far() -> None:
    image = scan("RAS")
    label = np.ones((3, 3, 9), np.uint8)
    with pytest.raises(SemganError, match="reaches 4 voxels beyond the image"):
        on_grid_of(Volume(label, image.affine), image, part=True)


def test_a_label_of_fewer_slices_is_a_part_only_where_that_is_asked_for_or_the_format_crops(tmp_path: Path) -> None:
    image = scan("LAS")
    piece = Volume((image.array[1:, :, 2:] % 3).astype(np.uint8), image.affine.copy())
    piece.affine[:3, 3] += image.affine[:3, :3] @ [1, 0, 2]
    with pytest.raises(SemganError, match="differ in shape"):
        on_grid_of(piece, image)
    write_label(piece.array, piece, tmp_path / "part.seg.nrrd")
    read = read_label(tmp_path / "part.seg.nrrd", image)
    assert np.array_equal(read.array[1:, :, 2:], piece.array) and not read.array[0].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 0.0])
def test_headers_that_say_nothing_fit_nowhere(value: float) -> None:
    good = np.eye(4)
    assert find_placement((2, 2, 2), np.diag([value, 1, 1, 1]), good) is None
    assert find_placement((2, 2, 2), good, np.diag([0.0 if value == 1e300 else value, 1, 1, 1])) is None


def _shifted(affine: np.ndarray, mm: float) -> np.ndarray:
    moved = affine.copy()
    moved[2, 3] += mm
    return moved


def _turned(affine: np.ndarray, degrees: float) -> np.ndarray:
    turned = np.eye(4)
    turned[:3, :3] = rotation((0.0, 0.0, degrees))
    return turned @ affine


def _shear(amount: float) -> np.ndarray:
    shear = np.eye(4)
    shear[0, 1] = amount
    return shear
