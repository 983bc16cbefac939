"""Single slices and the voxels around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.correction.slice_grid import BEYOND, SliceGrid
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import grid, labels_at, patient, points_of

CASES = [("LAS", (0.0, 0.0, 0.0)), ("PSR", (0.0, 5.0, 8.0)), ("IRA", (0.0, 0.0, 0.0)), ("RAS", (25.0, 0.0, 10.0))]


def made(codes: str, degrees: tuple[float, float, float], spacing: tuple[float, float, float] = (6.0, 6.0, 9.0)):
    affine, shape = grid(spacing, codes=codes, degrees=degrees)
    geometry = Preprocessing(size=64, pixel_mm=5.5).plan(patient(affine, shape, seed=0)).geometry
    return SliceGrid(geometry), labels_at(points_of(affine, shape)).astype(np.uint8)


@pytest.mark.parametrize(("codes", "degrees"), CASES)
def test_one_slice_cut_out_is_that_of_the_whole_stack(codes: str, degrees: tuple[float, float, float]) -> None:
    slices, label = made(codes, degrees)
    whole = slices.geometry.extract((label == 1).astype(np.float32)).numpy()
    number = int(whole.sum(axis=(1, 2)).argmax())
    assert np.abs(slices.share(label, number, lambda piece: piece == 1) - whole[number]).max() < 0.02


@pytest.mark.parametrize(("codes", "degrees"), CASES)
def test_what_is_cut_out_and_brought_back_is_what_was_there(codes: str, degrees: tuple[float, float, float]) -> None:
    slices, label = made(codes, degrees)
    number = slices.geometry.num_slices // 2
    share = slices.share(label, number, lambda piece: piece == 1)
    box, values = slices.to_voxels(share, number, share > 0)
    mine = values != BEYOND
    agree = ((values > 0.5) == (label[box] == 1))[mine]
    assert mine.any() and agree.mean() > 0.93


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CASES), st.integers(0, 10_000))
def test_a_voxel_lies_in_the_pixel_that_is_brought_back_to_it(
    case: tuple[str, tuple[float, float, float]], seed: int
) -> None:
    slices, label = made(*case)
    inside = np.argwhere(label == 1)
    voxel = inside[seed % len(inside)]
    row, column, number = slices.pixels(voxel[None])[0]
    pixel = np.zeros((slices.geometry.size,) * 2, dtype=np.float32)
    pixel[row, column] = 1.0
    box, values = slices.to_voxels(pixel, int(number), pixel > 0)
    assert values[tuple(voxel - [side.start for side in box])] > 0


def test_a_slice_beyond_the_scan_shows_nothing() -> None:
    slices, label = made("LAS", (0.0, 0.0, 0.0))
    assert slices.share(label, slices.geometry.num_slices + 20, lambda piece: piece == 1).sum() == 0
