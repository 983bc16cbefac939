"""Arms and shoulders do not make the pixels of every slice larger."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monai_semgan.io.volume import Volume
from monai_semgan.slicing.body import find_body
from monai_semgan.slicing.planning import body_in_view, plan_slices
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import BODY, CENTRE, body_at, grid, patient, points_of

PIXEL = {"pixel_mm": 4.0, "size": 84}
"""336 mm: the trunk of 300 mm fits, not with arms."""

SMALL = Preprocessing(**PIXEL)
FIELD = (520.0, 260.0, 200.0)


def with_arms(
    codes: str = "LAS",
    gap: float = -4.0,
    radius: float = 45.0,
    lowest: float = -90.0,
    sides: tuple[int, ...] = (-1, 1),
    degrees: float = 0.0,
) -> Volume:
    """The patient with arms from a height in mm upwards, joined at the shoulders."""
    affine, shape = grid((4.0, 4.0, 8.0), codes=codes, field=FIELD, degrees=(0.0, degrees, 0.0))
    points = points_of(affine, shape)
    volume = patient(affine, shape, seed=1)
    x, y, z = np.moveaxis(points - CENTRE, -1, 0)
    for side in sides:
        place = side * (BODY[0] + gap + radius)
        arm = ((x - place) ** 2 + y**2 < radius**2) & (z > lowest) & (z < 90)
        shoulder = (abs(x) < abs(place)) & (side * x > 0) & (abs(y) < 40) & (z > 74) & (z < 90)
        volume.array[(arm | shoulder) & ~body_at(points)] = 30.0
    return volume


def extent(volume: Volume) -> float:
    """Width in mm of what the slices have to hold."""
    body = find_body(volume.array, volume.spacing, "CT")
    return float((np.ptp(body_in_view(volume, body, **PIXEL).bounds(), axis=0) * volume.spacing).max())


@given(
    codes=st.sampled_from(["LAS", "RPI", "SAL", "PSR"]),
    gap=st.floats(-6, 20),
    radius=st.floats(32, 50),
    lowest=st.sampled_from([-95.0, 0.0]),
    sides=st.sampled_from([(-1, 1), (1,), (-1,)]),
    degrees=st.floats(-4, 4),
)
@example(codes="LAS", gap=7.0, radius=39.0, lowest=0.0, sides=(1,), degrees=2.125)
@example(codes="LAS", gap=20.0, radius=32.0, lowest=0.0, sides=(1,), degrees=2.125)
@example(codes="LAS", gap=13.0, radius=40.0, lowest=0.0, sides=(-1, 1), degrees=3.94)
@settings(max_examples=12, deadline=None)
def test_the_pixel_is_that_of_the_trunk_however_the_arms_lie(
    codes: str, gap: float, radius: float, lowest: float, sides: tuple[int, ...], degrees: float
) -> None:
    volume = with_arms(codes, gap, radius, lowest, sides, degrees)
    geometry = plan_slices(volume, modality="CT", **PIXEL)
    assert geometry.pixel_mm <= 4.7, "with the arms it would be 5 to 6"
    middle = geometry.slice_centres[geometry.num_slices // 2]
    assert abs(middle[0] - CENTRE[0]) < 40, "centred on the trunk; a part of an arm may count, where the cells fall so"
    trunk = body_at(points_of(volume.affine, volume.array.shape))
    seen = geometry.restore(np.ones((geometry.num_slices, 84, 84), np.float32)) > 0
    assert (trunk & seen).sum() > 0.99 * trunk.sum()


def test_the_user_is_told() -> None:
    notes = SMALL(with_arms()).notes
    assert len(notes) == 1 and "centred on the trunk" in notes[0] and "arms" in notes[0]
    assert SMALL(with_arms(sides=())).notes == ()


def test_wide_shoulders_in_the_uppermost_slices_do_not_count() -> None:
    assert extent(with_arms(gap=-20, lowest=60)) < 315


@pytest.mark.parametrize("codes", ["LAS", "SPR"])
def test_a_wide_trunk_keeps_its_larger_pixel_and_its_place(codes: str) -> None:
    affine, shape = grid((4.0, 4.0, 8.0), codes=codes)
    affine[:3, :3] *= 1.3  # obese
    volume = Volume(patient(grid((4.0, 4.0, 8.0), codes=codes)[0], shape, seed=2).array, affine)
    body = find_body(volume.array, volume.spacing, "CT")
    assert body_in_view(volume, body, **PIXEL) is body
    assert plan_slices(volume, modality="CT", **PIXEL).pixel_mm > 4.5


def test_two_legs_are_no_arms_and_hips_below_no_shoulders() -> None:
    affine, shape = grid((4.0, 4.0, 8.0), field=FIELD)
    x, y, z = np.moveaxis(points_of(affine, shape) - CENTRE, -1, 0)
    hips = (np.hypot(x / 230, y / 110) < 1) & (z > -60)
    legs = (np.hypot(np.abs(x) - 120, y) < 100) & (z <= -60)
    volume = Volume(np.where(hips | legs, 40.0, -1000.0), affine)
    body = find_body(volume.array, volume.spacing, "CT")
    assert body_in_view(volume, body, **PIXEL) is body
    waist = np.where((np.hypot(x / np.where(z < -50, 230, 150), y / 100) < 1) & (np.abs(z) < 90), 40.0, -1000.0)
    body = find_body(waist, volume.spacing, "CT")
    assert body_in_view(Volume(waist, affine), body, **PIXEL) is body
