"""The report of a correction: which slices are shown, how they lie, and where the strokes are in them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_semgan.io.volume import Volume
from monai_semgan.outputs.report.stroke_pictures import (
    HERE,
    MOST_PICTURES,
    NOT_HERE,
    SlicePicture,
    place_of,
    stroke_pictures,
)
from tests.phantoms import grid

SHAPE = (20, 24, 10)
AFFINE = np.diag([-2.0, 2.0, 5.0, 1.0])
"""Stored LAS, as most CT is."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A stroke."""

    voxels: np.ndarray
    structure: int = 1
    positive: bool = True
    kind: str = "scribble"


def volume(affine: np.ndarray = AFFINE, shape: tuple[int, ...] = SHAPE) -> Volume:
    return Volume(np.zeros(shape, np.float32), affine)


def pictures_of(scan: Volume, *strokes: Drawn) -> tuple[list[SlicePicture], int]:
    label = np.zeros(scan.array.shape, np.uint8)
    return stroke_pictures(scan, label, label, strokes, (-100.0, 100.0), {1: "liver"})


def pixels(address: str) -> np.ndarray:
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def painted(address: str, colour: tuple[int, int, int]) -> np.ndarray:
    """Middle of what has a colour: from the left and from the top, 0 to 1."""
    image = pixels(address)
    where = np.argwhere((image == colour).all(-1))
    assert len(where), "nothing is painted"
    return (where.mean(0) / image.shape[:2])[::-1]


def line(axis: int, fixed: tuple[int, int, int], length: int = 4) -> np.ndarray:
    voxels = np.tile(np.asarray(fixed), (length, 1))
    voxels[:, axis] += np.arange(length)
    return voxels


@given(
    codes=st.permutations("RAS").flatmap(
        lambda axes: st.tuples(*(st.sampled_from({"R": "RL", "A": "AP", "S": "SI"}[axis]) for axis in axes))
    ),
    place=st.sampled_from([(-1, -1), (-1, 1), (1, -1), (1, 1)]),
)
def test_right_is_on_the_left_and_front_is_above_however_a_scan_is_stored(
    codes: tuple[str, str, str], place: tuple[int, int]
) -> None:
    affine, shape = grid((8.0, 8.0, 12.0), codes="".join(codes))
    scan = volume(affine, tuple(shape))
    middle = affine @ [*((np.asarray(shape) - 1) / 2), 1.0]
    wanted = middle + [80.0 * place[0], 60.0 * place[1], 0.0, 0.0]
    voxel = np.rint(np.linalg.inv(affine) @ wanted)[:3].astype(int)
    (picture,), _ = pictures_of(scan, Drawn(voxel[None]))
    across, down = painted(picture.after, HERE)
    assert picture.plane == "axial"
    assert (across > 0.5) == (place[0] < 0), "the patient's left is on the right"
    assert (down < 0.5) == (place[1] > 0), "the front is above"


@pytest.mark.parametrize(
    ("voxels", "plane", "slices"),
    [
        (line(0, (4, 5, 6)), "axial", (6, 6)),
        (line(2, (4, 5, 3)), "coronal", (5, 5)),
        (np.array([[4, 5, 6], [4, 6, 7]]), "sagittal", (4, 4)),
        (np.array([[4, 5, 6]]), "axial", (6, 6)),
        (np.array([[4, 5, 6], [5, 6, 7], [6, 6, 7]]), "axial", (6, 7)),
    ],
)
def test_a_stroke_is_shown_in_the_plane_in_which_it_is_flat(
    voxels: np.ndarray, plane: str, slices: tuple[int, int]
) -> None:
    place = place_of(Drawn(voxels), volume())
    assert (place.plane, place.slices) == (plane, slices)


def test_strokes_of_one_slice_share_a_picture_and_the_later_one_is_seen() -> None:
    first, second = Drawn(line(0, (4, 5, 6))), Drawn(line(0, (6, 5, 6)), positive=False)
    (picture,), more = pictures_of(volume(), first, second)
    assert more == 0 and painted(picture.after, HERE)[0] < painted(picture.after, NOT_HERE)[0]
    assert not (pixels(picture.before) == HERE).all(-1).any()


def test_a_page_does_not_grow_without_end_and_says_what_it_leaves_out() -> None:
    scan = volume(shape=(20, 24, 30))
    strokes = [Drawn(line(0, (4, 5, k))) for k in range(MOST_PICTURES + 3)]
    pictures, more = pictures_of(scan, *strokes)
    assert more == 3 and [one.number for one in pictures][:2] == [MOST_PICTURES + 2, MOST_PICTURES + 1]


def test_a_photograph_is_shown_in_its_colours() -> None:
    colour = np.zeros((3, 20, 24, 1), np.uint8)
    colour[1] = 200
    scan = Volume(np.zeros((20, 24, 1), np.float32), np.eye(4), spacing_known=False, colour=colour)
    (picture,), _ = pictures_of(scan, Drawn(line(0, (4, 5, 0))))
    assert tuple(pixels(picture.before)[0, 0]) == (0, 200, 0)
