"""Thick slices are cut as they are stored, turned alike in all patients, and come back to exactly their voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.volume import Volume
from monai_semgan.slicing.orientation import closest_view, obliqueness
from monai_semgan.slicing.planes import propose_plane, slice_axis, stack_axes
from monai_semgan.slicing.planning import plan_slices
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import grid, labels_at, organ_dice, patient, points_of, rotation
from tests.slicing.test_geometry import CODES, one_hot

quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
any_angles = st.tuples(*[st.floats(-180.0, 180.0)] * 3)
SHORT_AXIS = np.array([0.6, -0.6, 0.53]) / np.linalg.norm([0.6, -0.6, 0.53])


def uneven_block(shape: tuple[int, int, int]) -> np.ndarray:
    """Voxels that look like no turned, flipped or shifted copy of themselves."""
    i, j, k = (np.arange(n, dtype=np.float32) / n for n in shape)
    bowed = 500.0 + 200.0 * i[:, None, None] + 90.0 * j[None, :, None] ** 2 + 40.0 * k[None, None, :] ** 3
    return (bowed + 30.0 * np.sin(9.0 * i[:, None, None] * j[None, :, None])).astype(np.float32)


def stored_slices(volume: Volume, size: int = 24, pixel_mm: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """(D, H, W) slices, and the volume that comes back from them."""
    geometry = plan_slices(volume, modality="MR", size=size, pixel_mm=pixel_mm, plane="stored")
    slices = geometry.extract(volume.array)
    return slices.numpy(), geometry.restore(slices)


def reordered(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same voxels at the same places, stored otherwise."""
    array, affine = volume.array.transpose(order), volume.affine[:, (*order, 3)].copy()
    for axis in range(3):
        if flips[axis]:
            array = np.flip(array, axis)
            affine[:3, 3] += (array.shape[axis] - 1) * affine[:3, axis]
            affine[:3, axis] *= -1
    return Volume(np.ascontiguousarray(array), affine)


def turned_frame(normal: np.ndarray, spin: float, spacing: tuple[float, float, float] = (1.5, 1.5, 8.0)) -> np.ndarray:
    """Affine of slices across a direction, turned about it by so many degrees."""
    first = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    second, angle, affine = np.cross(normal, first), np.radians(spin), np.eye(4)
    affine[:3, 0] = (np.cos(angle) * first + np.sin(angle) * second) * spacing[0]
    affine[:3, 1] = (np.cos(angle) * second - np.sin(angle) * first) * spacing[1]
    affine[:3, 2] = normal * spacing[2]
    return affine


@quick
@given(degrees=any_angles, ratio=st.floats(1.6, 8.0), offset=st.tuples(*[st.floats(-200.0, 200.0)] * 3))
def test_every_stored_slice_comes_back_voxel_by_voxel(degrees: tuple, ratio: float, offset: tuple) -> None:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation(degrees) @ np.diag([2.0, 2.0, 2.0 * ratio]), offset
    volume = Volume(uneven_block((24, 24, 5)), affine)
    slices, restored = stored_slices(volume)
    assert len(slices) == 5, "one slice for each that is stored"
    np.testing.assert_allclose(restored, volume.array, rtol=1e-5)


@quick
@given(
    degrees=any_angles,
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_the_order_of_storage_changes_no_pixel_of_stored_slices(degrees: tuple, order: list, flips: tuple) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag([2.0, 2.0, 9.0])
    volume = Volume(uneven_block((24, 20, 5)), affine)
    other = reordered(volume, tuple(order), flips)
    np.testing.assert_allclose(stored_slices(volume)[0], stored_slices(other)[0], rtol=1e-5)


@pytest.mark.parametrize("turn", [(45.0, 0.0, 0.0), (0.0, 45.0, 0.0), (0.0, 0.0, 45.0), (45.0, 0.0, 45.0)], ids=str)
@pytest.mark.parametrize("flips", [(True, False, False), (False, True, True)], ids=str)
def test_not_even_where_two_ways_to_turn_a_slice_are_as_good(turn: tuple, flips: tuple) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(turn) @ np.diag([2.0, 2.0, 9.0])
    volume = Volume(uneven_block((24, 20, 5)), affine)
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        np.testing.assert_allclose(
            stored_slices(volume)[0], stored_slices(reordered(volume, order, flips))[0], rtol=1e-5
        )


@quick
@given(codes=st.sampled_from(CODES), degrees=st.tuples(*[st.floats(-12.0, 12.0)] * 3))
def test_thick_axial_slices_are_the_same_in_both_planes(codes: str, degrees: tuple) -> None:
    affine, shape = grid((5, 5, 12), codes=codes, degrees=degrees)
    volume = patient(affine, shape)
    axial, stored = (plan_slices(volume, modality="CT", size=48, pixel_mm=7.0, plane=p) for p in ("axial", "stored"))
    np.testing.assert_allclose(axial.grid_affine, stored.grid_affine)


def test_a_straight_and_an_oblique_copy_of_the_same_voxels_give_equal_slices() -> None:
    straight = np.diag([-2.0, -2.0, 10.0, 1.0])
    oblique = straight.copy()
    oblique[:3, :3] = rotation((40.0, 20.0, 0.0)) @ straight[:3, :3]
    volumes = [Volume(uneven_block((24, 24, 5)), affine) for affine in (straight, oblique)]
    (first, _), (second, _) = (stored_slices(volume) for volume in volumes)
    np.testing.assert_allclose(first, second, rtol=1e-5)


@quick
@given(
    lean=st.tuples(*[st.floats(-0.3, 0.3)] * 3),
    spin=st.floats(-40.0, 40.0),
    quarter=st.integers(0, 3),
    down=st.booleans(),
)
def test_short_axis_slices_are_turned_alike_in_all_patients(lean: tuple, spin: float, quarter: int, down: bool) -> None:
    normal = SHORT_AXIS + np.asarray(lean)
    normal /= np.linalg.norm(normal)
    assume(normal @ SHORT_AXIS > np.cos(np.radians(20.0)))
    wanted = turned_to_patient(turned_frame(SHORT_AXIS, 0.0))
    own = base_spin() + spin + 90.0 * quarter
    assume(abs(spin) < 25.0)
    affine = turned_frame(-normal if down else normal, -own if down else own)
    found = turned_to_patient(affine)
    assert (found * wanted).sum(0).min() > np.cos(np.radians(50.0)), "no axis has jumped by a quarter turn"


def base_spin() -> float:
    """Turn about the long axis of the heart at which rows and columns lie as in the standard view."""
    rows = np.array([-0.707, -0.707, 0.0])
    return float(max(np.arange(0.0, 360.0, 1.0), key=lambda spin: turned_frame(SHORT_AXIS, spin)[:3, 0] @ rows))


def turned_to_patient(affine: np.ndarray) -> np.ndarray:
    """(3, 3): unit vectors in RAS of rows, columns and slices of the stack that is cut."""
    axes = stack_axes(affine, (64, 64, 10), "stored")
    assert axes is not None
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return np.stack([sign * directions[:, axis] for axis, sign in axes], axis=1)


@pytest.mark.parametrize(
    ("spacing", "view", "rows", "columns"),
    [
        ((2, 2, 8), "axial", (-1, 0, 0), (0, 1, 0)),
        ((2, 8, 2), "coronal", (-1, 0, 0), (0, 0, 1)),
        ((8, 2, 2), "sagittal", (0, -1, 0), (0, 0, 1)),
    ],
)
@pytest.mark.parametrize("codes", CODES[::7])
def test_slices_lie_as_radiologists_hang_them(
    spacing: tuple, view: str, rows: tuple, columns: tuple, codes: str
) -> None:
    affine, shape = grid(spacing, codes=codes, degrees=(14.0, -9.0, 11.0))
    across = slice_axis(affine, shape)
    assert across is not None and closest_view(affine, across).name == view
    found = np.linalg.norm(plan_slices(patient(affine, shape), plane="stored").grid_affine[:3, :2], axis=0)
    directions = plan_slices(patient(affine, shape), plane="stored").grid_affine[:3, :2] / found
    assert directions[:, 0] @ rows > 0.9 and directions[:, 1] @ columns > 0.9


@quick
@given(codes=st.sampled_from(CODES), degrees=st.tuples(*[st.floats(-44.0, 44.0)] * 3))
def test_labels_return_to_the_scan_however_its_thick_slices_lie(codes: str, degrees: tuple) -> None:
    affine, shape = grid((4, 4, 11), codes=codes, degrees=degrees)
    label = labels_at(points_of(affine, shape))
    geometry = plan_slices(patient(affine, shape), modality="CT", size=96, pixel_mm=4.0, plane="stored")
    restored = geometry.restore_label(one_hot(geometry.extract(label, "nearest")))
    assert geometry.num_slices == min(shape)
    assert organ_dice(restored, label) > 0.95


def test_volumes_without_thick_slices_are_cut_as_before_and_say_so() -> None:
    affine, shape = grid((4, 4, 4), degrees=(40.0, 0.0, 0.0))
    volume = patient(affine, shape)
    stored, axial = (
        Preprocessing(size=64, pixel_mm=6.0, plane=plane).plan(volume, "CT") for plane in ("stored", "axial")
    )
    np.testing.assert_array_equal(stored.geometry.grid_affine, axial.geometry.grid_affine)
    assert obliqueness(stored.geometry.grid_affine) < 1e-3
    assert any("no thick slices" in note for note in stored.notes) and any(
        "interpolated" in note for note in axial.notes
    )


def test_an_axial_model_says_that_thick_oblique_slices_lose_detail() -> None:
    affine, shape = grid((3, 3, 12), degrees=(40.0, 0.0, 0.0))
    notes = Preprocessing(size=64, pixel_mm=6.0).plan(patient(affine, shape), "CT").notes
    assert any("4.0 pixels apart" in note for note in notes)


def test_a_single_coronal_slice_is_one_slice_where_stored_ones_count() -> None:
    affine, shape = grid((4, 8, 4), field=(330, 8, 200))
    assert shape[1] == 1
    geometry = plan_slices(patient(affine, shape), modality="CT", size=96, pixel_mm=4.0, plane="stored")
    assert geometry.num_slices == 1
    torch.testing.assert_close(geometry.extract(np.ones(shape))[:, 48, 48], torch.ones(1))


def test_a_range_of_heights_is_refused_where_slices_do_not_follow_each_other_upwards() -> None:
    prepared = Preprocessing(size=64, pixel_mm=6.0, plane="stored")(patient(*grid((3, 12, 3))))
    with pytest.raises(SemganError, match="do not run from the feet to the head"):
        prepared.between(0.0, 50.0)


def places(*grids: tuple[np.ndarray, tuple[int, int, int]]) -> tuple[list[np.ndarray], list[tuple[int, int, int]]]:
    return [affine for affine, _ in grids], [shape for _, shape in grids]


OBLIQUE = grid((2, 2, 10), degrees=(40.0, -40.0, 0.0), field=(100, 100, 100))


def test_short_axis_and_coronal_lists_train_on_their_stored_slices() -> None:
    assert propose_plane(*places(OBLIQUE, OBLIQUE)).plane == "stored"
    assert propose_plane(*places(grid((1, 5, 1), field=(80, 60, 80)))).plane == "stored"
    assert "5.0 pixels apart" in propose_plane(*places(OBLIQUE)).reason


@pytest.mark.parametrize(
    "one",
    [
        grid((2, 2, 10)),
        grid((2, 2, 10), degrees=(20.0, 0.0, 0.0)),
        grid((3, 3, 3), degrees=(40.0, 0.0, 0.0)),
        grid((2, 3, 2)),
    ],
    ids=["axial", "tilted a little", "isotropic and oblique", "nearly isotropic"],
)
def test_other_lists_go_on_as_before(one: tuple) -> None:
    assert propose_plane(*places(one, one)).plane == "axial"
    assert not propose_plane(*places(one, one)).doubts


def test_a_tilted_gantry_is_axial_still() -> None:
    affine, shape = grid((1, 1, 6), field=(60, 60, 60))
    affine[1, 2] = 6.0 * np.tan(np.radians(28.0))
    assert propose_plane([affine], [shape]).plane == "axial"


def test_a_list_that_mixes_planes_is_told() -> None:
    mixed = propose_plane(*places(OBLIQUE, OBLIQUE, grid((2, 10, 2)), grid((3, 3, 3))))
    assert mixed.plane == "stored"
    assert "2 short-axis, 1 coronal" in mixed.doubts[0] and "1 of 4 volumes have no thick" in mixed.doubts[1]
    lost = propose_plane(*places(OBLIQUE, grid((2, 2, 8)), grid((2, 2, 8))))
    assert lost.plane == "axial" and "1 of 3 volumes have thick slices" in lost.doubts[0]


def test_an_unknown_plane_is_refused() -> None:
    with pytest.raises(SemganError, match="unknown plane 'sagittal'"):
        Preprocessing(plane="sagittal")
