"""NRRD files in memory keep every voxel and its place."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from SemGANLib.Server.Nrrd import TYPES, Grid, NrrdError, decode, encode

from tests.phantoms import rotation


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float], degrees: float, flip: bool) -> np.ndarray:
    """Make the affine of a tilted grid, mirrored if wished."""
    affine = np.eye(4)
    affine[:3, :3] = rotation((degrees, degrees / 2, -degrees)) @ np.diag(spacing)
    affine[:3, 3] = (-12.25, 1 / 3, 1e3)
    if flip:
        affine[:3, 0] *= -1
    return affine


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    kind=st.sampled_from(sorted(TYPES)),
    spacing=st.tuples(*[st.floats(0.01, 50)] * 3),
    degrees=st.floats(-180, 180),
    flip=st.booleans(),
    compressed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_volume_comes_back_as_it_was(shape, kind, spacing, degrees, flip, compressed, seed):  # type: ignore[no-untyped-def]
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(kind)
    affine = oblique(shape, spacing, degrees, flip)

    grid = decode(encode(Grid(array, affine), compressed))

    np.testing.assert_array_equal(grid.array, array)
    assert grid.array.dtype == array.dtype
    np.testing.assert_allclose(grid.affine, affine, rtol=1e-14, atol=1e-12)


def test_strided_and_big_endian_arrays_are_written_in_order():
    array = np.arange(60, dtype=">i2").reshape(3, 4, 5)[::-1, :, ::2]
    np.testing.assert_array_equal(decode(encode(Grid(array, np.eye(4)))).array, array)


def test_a_file_in_ras_with_other_names_of_type_and_windows_line_ends_is_read():
    header = "NRRD0005\r\n# made elsewhere\r\ntype: uint8_t\r\ndimension: 3\r\nspace: RAS\r\nsizes: 2 1 1\r\n"
    header += "space directions: (2,0,0) (0,3,0) (0,0,4)\r\nencoding: gz\r\nspace origin: (1,2,3)\r\nkey:=value\r\n\r\n"
    grid = decode(header.encode() + gzip.compress(bytes([5, 6])))
    assert grid.array.tolist() == [[[5, 6]]]
    np.testing.assert_array_equal(grid.affine, [[2, 0, 0, 1], [0, 3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]])


GOOD = encode(Grid(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "not a NRRD"),
        (lambda data: b"<html>no</html>\n\n", "not a NRRD"),
        (lambda data: data[:-20], "cut off|damaged"),
        (lambda data: data[:-30] + bytes(30), "damaged|cut off"),
        (lambda data: data.replace(b"sizes: 4 3 2", b"sizes: 4 3 3"), "cut off"),
        (lambda data: data.replace(b"sizes: 4 3 2", b"sizes: 4 3 1"), "cut off|damaged"),
        (lambda data: data.replace(b"sizes: 4 3 2", b"sizes: 4 x 2"), "sizes"),
        (lambda data: data.replace(b"sizes: 4 3 2", b"sizes: 4 -3 -2"), "three-dimensional"),
        (lambda data: data.replace(b"dimension: 3", b"dimension: 4"), "three-dimensional"),
        (lambda data: data.replace(b"short", b"block"), "type"),
        (lambda data: data.replace(b"gzip", b"bz2 "), "encoding"),
        (lambda data: data.replace(b"left-posterior-superior", b"scanner-xyz"), "space"),
        (lambda data: data.replace(b"space directions: (-1.0", b"space directions: (nan"), "directions"),
        (lambda data: data.replace(b"space origin: (", b"space origin: (,"), "space origin"),
        (lambda data: data.replace(b"kinds:", b"data file: /etc/passwd\nkinds:"), "another file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(damage, reason):  # type: ignore[no-untyped-def]
    damaged = damage(GOOD)
    assert damaged != GOOD
    with pytest.raises(NrrdError, match=reason):
        decode(damaged)


def test_types_that_nrrd_lacks_are_refused():
    with pytest.raises(NrrdError, match="complex"):
        encode(Grid(np.zeros((1, 1, 1), dtype=complex), np.eye(4)))
