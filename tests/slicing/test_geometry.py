"""Slices lie where the patient's anatomy says, and results return to exactly the input's grid."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.io.volume import Volume
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.orientation import obliqueness
from monai_semgan.slicing.planning import plan_slices
from tests.phantoms import BODY, CENTRE, body_at, grid, labels_at, organ_dice, patient, points_of, rotation, values_at

CODES = ["".join(c) for axes in itertools.permutations(["RL", "AP", "SI"]) for c in itertools.product(*axes)]
PIXEL = {"size": 96, "pixel_mm": 3.75}
quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def truth(geometry: SliceGeometry) -> np.ndarray:
    """(D, H, W) classes of the patient where the slices lie."""
    return labels_at(points_of(geometry.grid_affine, geometry.grid_shape)).transpose(2, 0, 1)


def one_hot(label: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(label.long(), 5).permute(0, 3, 1, 2).float()


def round_trip(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[SliceGeometry, float, float]:
    """Geometry; Dice of extracted labels with the anatomy at the slices; Dice of restored labels with the input."""
    label = labels_at(points_of(affine, shape))
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    slices = geometry.extract(label, "nearest")
    restored = geometry.restore_label(one_hot(slices))
    assert restored.shape == shape and restored.dtype == np.uint8
    return geometry, organ_dice(slices.numpy(), truth(geometry)), organ_dice(restored, label)


@quick
@given(
    codes=st.sampled_from(CODES),
    spacing=st.tuples(*[st.floats(3.0, 6.0)] * 2, st.floats(4.0, 9.0)),
    degrees=st.tuples(*[st.floats(-9.0, 9.0)] * 3),
)
def test_any_storage_order_spacing_and_slight_tilt_comes_back(codes: str, spacing: tuple, degrees: tuple) -> None:
    geometry, on_slices, on_volume = round_trip(*grid(spacing, codes=codes, degrees=degrees))
    assert geometry.axes is not None, "stored slices are used as they are"
    assert on_slices > 0.9 and on_volume > 0.9


@settings(quick, max_examples=5)
@given(
    codes=st.sampled_from(CODES),
    spacing=st.tuples(*[st.floats(3.5, 6.0)] * 3),
    degrees=st.tuples(st.floats(28.0, 44.0), st.floats(-20.0, 20.0), st.floats(-20.0, 20.0)),
)
def test_very_oblique_volumes_get_true_axial_planes_and_come_back(codes: str, spacing: tuple, degrees: tuple) -> None:
    geometry, on_slices, on_volume = round_trip(*grid(spacing, codes=codes, degrees=degrees, field=(360, 330, 330)))
    assert geometry.axes is None
    assert obliqueness(geometry.grid_affine) < 1e-3
    assert on_slices > 0.88 and on_volume > 0.88


def test_forty_five_degrees_about_one_axis_comes_back() -> None:
    geometry, on_slices, on_volume = round_trip(*grid((4, 4, 4), degrees=(45.0, 0, 0), field=(330, 300, 300)))
    assert obliqueness(geometry.grid_affine) < 1e-3
    assert on_slices > 0.93 and on_volume > 0.93


def test_thick_oblique_slices_still_come_back() -> None:
    _, _, on_volume = round_trip(*grid((3, 3, 8), degrees=(35.0, 0, 0), field=(330, 300, 300)))
    assert on_volume > 0.85


@pytest.mark.parametrize("codes", CODES[::5])
def test_storage_order_does_not_change_a_single_pixel(codes: str) -> None:
    reference, other = (patient(*grid((3, 4, 6), codes=c)) for c in ("LAS", codes))
    slices = [plan_slices(v, modality="CT", **PIXEL).extract(v.array) for v in (reference, other)]
    torch.testing.assert_close(slices[0], slices[1], atol=1e-2, rtol=0)


def test_rows_run_from_right_to_left_columns_to_the_front_and_slices_to_the_head() -> None:
    volume = patient(*grid(codes="SPR"))
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    steps = geometry.grid_affine[:3, :3]
    assert steps[0, 0] < 0 < steps[1, 1] and steps[2, 2] > 0
    assert np.abs(steps - np.diag(np.diag(steps))).max() < 1e-9


def test_slices_are_centred_on_the_body() -> None:
    affine, shape = grid((3, 3, 6), field=(420, 300, 180))
    affine[:3, 3] += [30, -20, 0]  # the body lies off the centre of the field
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    middle = geometry.grid_affine @ [(geometry.size - 1) / 2, (geometry.size - 1) / 2, 0, 1]
    assert np.abs(middle[:2] - CENTRE[:2]).max() < PIXEL["pixel_mm"]


def test_a_table_does_not_shift_the_slices() -> None:
    affine, shape = grid((3, 3, 6), field=(420, 340, 180))
    volume = patient(affine, shape)
    points = points_of(affine, shape)
    array = volume.array.copy()
    array[np.abs(points[..., 1] - (CENTRE[1] - BODY[1] - 12)) < 3] = 100.0
    bare, table = (plan_slices(Volume(a, affine), modality="CT", **PIXEL) for a in (volume.array, array))
    assert np.abs(bare.grid_affine - table.grid_affine)[:3, 3].max() < PIXEL["pixel_mm"]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_pixels_grow_until_a_wide_body_fits(modality: str) -> None:
    volume = patient(*grid(), modality, seed=3)
    narrow = plan_slices(volume, pixel_mm=2.0, size=96, modality=modality)
    assert narrow.enlarged and narrow.pixel_mm * 96 >= 2 * BODY[0] - 4
    inside = body_at(points_of(narrow.grid_affine, narrow.grid_shape))
    assert not inside[0].any() or not inside[-1].any() or narrow.pixel_mm * 96 < 2 * BODY[0] + 12
    assert not plan_slices(volume, modality=modality, **PIXEL).enlarged


def test_every_slice_of_a_stack_is_used_once() -> None:
    affine, shape = grid((4, 4, 6), codes="ILP")
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    assert geometry.num_slices == shape[0]
    ramp = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None, None], shape)
    middle = geometry.extract(ramp)[:, 48, 48]
    assert middle.tolist() == list(range(shape[0]))[::-1]


@pytest.mark.parametrize("degrees", [(0, 0, 0), (40, 0, 0)])
@pytest.mark.parametrize("codes", ["LAS", "PSR", "SLA"])
def test_a_single_slice_is_a_volume_too(codes: str, degrees: tuple) -> None:
    affine, shape = grid((4, 4, 8), codes=codes, field=(330, 240, 8), degrees=degrees)
    volume = patient(affine, shape)
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    assert geometry.num_slices == 1
    label = labels_at(points_of(affine, shape))
    restored = geometry.restore_label(one_hot(geometry.extract(label, "nearest")))
    assert np.mean(restored == label) > 0.95


@quick
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    degrees=st.tuples(*[st.floats(-180.0, 180.0)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 60.0)] * 3),
    value=st.floats(-900.0, 900.0),
)
def test_tiny_grids_of_any_orientation_give_finite_results(
    shape: tuple, degrees: tuple, spacing: tuple, value: float
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag(spacing)
    array = np.full(shape, value, dtype=np.float32)
    array.flat[0] = -1000.0
    geometry = plan_slices(Volume(array, affine), size=32, pixel_mm=11.0)
    slices = geometry.extract(array)
    assert torch.isfinite(slices).all() and slices.shape == (geometry.num_slices, 32, 32)
    assert np.isfinite(geometry.restore(slices)).all()
    assert geometry.restore_label(torch.rand(geometry.num_slices, 3, 32, 32)).shape == shape


@pytest.mark.parametrize("degrees", [(0, 0, 0), (0, 0, 35)])
def test_a_smooth_image_comes_back_unchanged(degrees: tuple) -> None:
    affine, shape = grid((4, 4, 6), degrees=degrees)
    points = points_of(affine, shape)
    image = (points @ np.array([0.3, -0.2, 0.1])).astype(np.float32)
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    middle = body_at(CENTRE + (points - CENTRE) * 1.3)
    np.testing.assert_allclose(geometry.restore(geometry.extract(image))[middle], image[middle], atol=0.6)


def test_fine_texture_is_averaged_and_not_aliased() -> None:
    affine, shape = grid((1, 1, 20), field=(320, 220, 40))
    stripes = np.zeros(shape, dtype=np.float32)
    stripes[::2] = 1.0
    slices = plan_slices(patient(affine, shape), modality="CT", size=64, pixel_mm=6.0).extract(stripes)
    assert slices[:, 24:40, 24:40].min() > 0.4 and slices[:, 24:40, 24:40].max() < 0.6


def test_outside_the_slices_maps_are_filled_and_labels_are_background() -> None:
    affine, shape = grid((4, 4, 8), field=(600, 240, 40))
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    scores = torch.zeros(geometry.num_slices, 3, 96, 96)
    scores[:, 2] = 1.0
    label, ones = geometry.restore_label(scores), geometry.restore(torch.ones_like(scores[:, 0]), fill=-7.0)
    assert set(np.unique(ones)) == {-7.0, 1.0}
    assert np.array_equal(label == 2, ones == 1.0) and np.array_equal(label == 0, ones == -7.0)
    width = np.ptp(np.flatnonzero((label == 2).any(axis=(1, 2)))) * 4.0
    assert abs(width - 96 * 3.75) < 8


def test_beyond_the_volume_slices_are_filled() -> None:
    volume = patient(*grid((4, 4, 8), field=(310, 205, 40)))
    slices = plan_slices(volume, modality="CT", size=96, pixel_mm=6.0).extract(volume.array, fill=-5000.0)
    assert (slices[:, 0] == -5000).all() and (slices[:, :, -1] == -5000).all()
    assert slices[:, 48, 48].min() > -100


def test_intensities_are_converted_before_they_are_averaged() -> None:
    volume = patient(*grid((2, 2, 8), field=(330, 240, 24)))
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    clipped = geometry.extract(volume.array, convert=lambda piece: np.clip(piece, -100, 100))
    torch.testing.assert_close(clipped, geometry.extract(np.clip(volume.array, -100, 100)))


@pytest.mark.parametrize("degrees", [(0, 0, 0), (35, 0, 0)])
def test_several_maps_are_restored_like_each_alone(degrees: tuple) -> None:
    affine, shape = grid((5, 5, 9), codes="PIL", degrees=degrees)
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    maps = torch.rand(geometry.num_slices, 3, 96, 96)
    together = geometry.restore(maps)
    assert together.shape == (3, *shape)
    for index in range(3):
        np.testing.assert_allclose(together[index], geometry.restore(maps[:, index]), atol=1e-6)
    np.testing.assert_array_equal(geometry.restore(maps.half().float().numpy()), geometry.restore(maps.half()))


@settings(quick, max_examples=20)
@given(
    codes=st.sampled_from(CODES),
    spacing=st.tuples(*[st.floats(3.0, 12.0)] * 3),
    boxes=st.lists(st.tuples(*[st.integers(0, 30)] * 3, st.integers(1, 3)), max_size=3),
    seed=st.integers(0, 99),
)
def test_labels_are_the_best_of_all_restored_scores_wherever_organs_lie(
    codes: str, spacing: tuple, boxes: list[tuple[int, int, int, int]], seed: int
) -> None:
    affine, shape = grid(spacing, codes=codes)
    geometry = plan_slices(patient(affine, shape), modality="CT", size=32, pixel_mm=12.0)
    scores = torch.rand(geometry.num_slices, 4, 32, 32, generator=torch.Generator().manual_seed(seed))
    scores[:, 0] += 2.0
    for depth, row, column, index in boxes:
        scores[depth % geometry.num_slices, index, row : row + 3, column : column + 2] += 4.0
    np.testing.assert_array_equal(geometry.restore_label(scores), geometry.restore(scores, -np.inf).argmax(0))


@pytest.mark.parametrize("degrees", [(0, 0, 0), (45, 0, 0)])
def test_a_geometry_survives_json(degrees: tuple) -> None:
    affine, shape = grid((5, 5, 9), codes="PIL", degrees=degrees)
    volume = patient(affine, shape)
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    copy = SliceGeometry.from_dict(json.loads(json.dumps(geometry.to_dict())))
    assert torch.equal(copy.extract(volume.array), geometry.extract(volume.array))


def test_labels_of_a_large_volume_are_restored_in_bounded_memory() -> None:
    affine = np.diag([-1.2, 1.2, 3.0, 1.0])
    shape = (257, 257, 120)
    geometry = SliceGeometry(shape, affine, 128, 2.4, 2.4, affine @ np.diag([2, 2, 1, 1.0]), 120)
    scores = torch.rand(120, 5, 128, 128)
    tracemalloc.start()
    geometry.restore_label(scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = 4 * 5 * np.prod(shape)
    assert peak < np.prod(shape) + 150 * 2**20 < whole + np.prod(shape)


def test_mr_is_planned_like_ct() -> None:
    affine, shape = grid((3, 3, 8))
    ct, mr = (plan_slices(patient(affine, shape, m, seed=5), modality=m, **PIXEL) for m in ("CT", "MR"))
    assert np.abs(ct.grid_affine - mr.grid_affine).max() < PIXEL["pixel_mm"]


def test_arrays_of_another_shape_are_refused() -> None:
    volume = patient(*grid())
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    with pytest.raises(ValueError, match="planned for"):
        geometry.extract(volume.array[1:])
    with pytest.raises(ValueError, match="expected"):
        geometry.restore(torch.zeros(geometry.num_slices + 1, 96, 96))


def test_extracted_values_are_those_of_the_anatomy() -> None:
    volume = patient(*grid((2, 2, 5)))
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    wanted = values_at(points_of(geometry.grid_affine, geometry.grid_shape)).transpose(2, 0, 1)
    assert np.median(np.abs(geometry.extract(volume.array, fill=-1000).numpy() - wanted)) < 1e-3


@pytest.mark.parametrize("codes", CODES[::5])
@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (4.0, -3.0, 6.0), (35.0, 0.0, 0.0)], ids=str)
def test_slabs_are_the_volume_in_parts(codes: str, degrees: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    affine, shape = grid((5.0, 5.0, 8.0), codes=codes, degrees=degrees)
    geometry = plan_slices(patient(affine, shape), modality="CT", **PIXEL)
    slices = torch.randn(geometry.num_slices, 96, 96, generator=torch.Generator().manual_seed(0))
    whole = geometry.restore(slices, -3.0)
    monkeypatch.setattr("monai_semgan.slicing.geometry.CHUNK_BYTES", 4 * shape[0] * shape[1] * 7)
    slabs = list(geometry.restore_slabs(slices, -3.0))
    assert len(slabs) == -(-shape[2] // 7) > 1
    np.testing.assert_allclose(np.concatenate(slabs, 2), whole, atol=2e-4)  # single precision of places
