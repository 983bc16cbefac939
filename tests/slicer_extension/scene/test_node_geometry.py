"""Grids are compared by their corners; slices are counted along the model's axis."""

from __future__ import annotations

import numpy as np
import pytest
from SemGANLib.Scene import Geometry

from tests.slicer_extension.scans import affine_of


def test_grids_are_told_apart():
    affine = affine_of("oblique")
    moved = affine.copy()
    moved[0, 3] += 0.01
    assert Geometry.same_grid(affine, (4, 5, 6), affine + 1e-6, (4, 5, 6))
    assert not Geometry.same_grid(affine, (4, 5, 6), moved, (4, 5, 6))
    assert not Geometry.same_grid(affine, (4, 5, 6), affine, (4, 6, 5))


def test_slices_are_counted_along_the_models_axis_whatever_the_storage():
    assert Geometry.slice_positions(np.diag([2.0, 2.0, 3.0, 1.0]), (9, 9, 5), (0, 0, 1)) == (0.0, 12.0)
    sagittal = affine_of("sagittal")
    low, high = Geometry.slice_positions(sagittal, (40, 28, 16), (0, 0, 1))
    assert high - low == pytest.approx(27 * 8 * np.cos(np.radians(4)), abs=0.1)
