"""Pictures of the slices that strokes were made in: the label before, and after it with the strokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from monai_semgan.outputs.directions import ENDS, NAMES
from monai_semgan.outputs.overlay import as_radiologists_see, blend
from monai_semgan.outputs.report.pictures import data_address, panel
from monai_semgan.slicing.orientation import closest_axes
from monai_semgan.slicing.window import rescale

if TYPE_CHECKING:
    from monai_semgan.io.volume import Volume

WIDTH = 420
MOST_PICTURES = 12

HERE, NOT_HERE = (255, 255, 255), (255, 235, 0)
"""Colours of strokes, red, green and blue: the structure is here; it is not."""


class DrawnStroke(Protocol):
    """What a reader drew: see `monai_semgan.correction.strokes.Stroke`."""

    @property
    def structure(self) -> int:
        """Label id."""

    @property
    def voxels(self) -> np.ndarray:
        """`(N, 3)` indices of the scan's own array."""

    @property
    def positive(self) -> bool:
        """The structure is here, or it is not."""

    @property
    def kind(self) -> str:
        """How it was drawn."""


@dataclass(frozen=True)
class StrokePlace:
    """Where a stroke was made.

    Attributes:
        axis: of the scan, across the slices that it was made in.
        plane: name of these slices: `axial`, `coronal` or `sagittal`, whichever is closest.
        slices: first and last number of them along the axis.
        main: number of the one with most of its voxels.
    """

    axis: int
    plane: str
    slices: tuple[int, int]
    main: int


@dataclass(frozen=True)
class SlicePicture:
    """One slice, twice.

    Attributes:
        plane: its name.
        number: along its axis of the scan.
        before: PNG data address, with the label before the correction.
        after: the same with the corrected label and the strokes.
    """

    plane: str
    number: int
    before: str
    after: str


def place_of(stroke: DrawnStroke, volume: Volume) -> StrokePlace:
    """Tell in which slices a stroke was made: those across which it is flat.

    A stroke that is flat in no direction, or in several, such as a point, was made in the slices that lie farthest
    apart, which are axial if all are alike.
    """
    order = [axis for axis, _ in closest_axes(volume.affine)]
    extent = np.ptp(stroke.voxels, axis=0)
    single = np.asarray(volume.array.shape) == 1
    axis = min(
        range(3), key=lambda a: (extent[a] > 0, not single[a], -round(float(volume.spacing[a]), 2), -order.index(a))
    )
    numbers = stroke.voxels[:, axis]
    values, counts = np.unique(numbers, return_counts=True)
    ends = int(values[0]), int(values[-1])
    return StrokePlace(axis, NAMES[order.index(axis)], ends, int(values[counts.argmax()]))


def stroke_pictures(
    volume: Volume,
    before: np.ndarray,
    after: np.ndarray,
    strokes: Sequence[DrawnStroke],
    value_range: tuple[float, float],
    names: Mapping[int, str],
) -> tuple[list[SlicePicture], int]:
    """Draw the slices that strokes were made in, those of the newest first.

    Args:
        volume: the scan.
        before: ids `(I, J, K)`.
        after: the same after the correction.
        strokes: in the order of drawing.
        value_range: values of the scan that are black and white.
        names: structure name by id, which says the colours.

    Returns:
        At most `MOST_PICTURES`, and how many slices are not among them.
    """
    places = {(place.axis, place.main): place for stroke in reversed(strokes) if (place := place_of(stroke, volume))}
    pictures = []
    for place in list(places.values())[:MOST_PICTURES]:
        drawn = _drawn(strokes, place.axis, place.main, volume.array.shape)
        image = _image(volume, place, value_range)
        labels = [_turned(_cut(label, place), volume, place.axis) for label in (before, after)]
        shown = [_panel(blend(image, label, names), volume, place.axis) for label in labels]
        _paint(shown[1], _turned(drawn, volume, place.axis))
        pictures.append(SlicePicture(place.plane, place.main, *map(data_address, shown)))
    return pictures, len(places) - len(pictures)


def _drawn(strokes: Sequence[DrawnStroke], axis: int, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """Lay strokes over each other in one slice of the scan: 1 where a structure is, 2 where it is not; one thick."""
    drawn = np.zeros([1 if a == axis else n for a, n in enumerate(shape)], dtype=np.uint8)
    for stroke in strokes:
        inside = stroke.voxels[stroke.voxels[:, axis] == number].copy()
        inside[:, axis] = 0
        drawn[tuple(inside.T)] = 1 if stroke.positive else 2
    return drawn


def _cut(array: np.ndarray, place: StrokePlace) -> np.ndarray:
    """Take one slice out of a volume, still with three axes."""
    taken = [slice(place.main, place.main + 1) if axis == place.axis else slice(None) for axis in range(3)]
    return array[tuple(taken)]


def _image(volume: Volume, place: StrokePlace, value_range: tuple[float, float]) -> np.ndarray:
    """Return the slice in [-1, 1]: `(across, up)`, or `(across, up, 3)` in colours."""
    if volume.colour is not None:
        colours = [_turned(_cut(channel, place), volume, place.axis) for channel in volume.colour]
        return np.stack(colours, axis=-1) / 127.5 - 1.0
    found: np.ndarray = rescale(_turned(_cut(volume.array, place), volume, place.axis), *value_range)
    return found


def _turned(piece: np.ndarray, volume: Volume, axis: int) -> np.ndarray:
    """Turn a slice of the scan so that its axes run to the patient's left and front, or front and head."""
    order = closest_axes(volume.affine)
    turned = piece.transpose([source for source, _ in order])
    turned = turned[tuple(slice(None, None, sign) for _, sign in order)]
    return turned.squeeze([source for source, _ in order].index(axis))


def _panel(plane: np.ndarray, volume: Volume, axis: int) -> Image.Image:
    order = [source for source, _ in closest_axes(volume.affine)]
    across, up = (patient for patient in range(3) if order[patient] != axis)
    proportion = plane.shape[1] * volume.spacing[order[up]] / (plane.shape[0] * volume.spacing[order[across]])
    letters = "".join((*ENDS[across], *reversed(ENDS[up]))) if volume.spacing_known else ""
    return panel(letters, plane, proportion, WIDTH)


def _paint(picture: Image.Image, drawn: np.ndarray) -> None:
    """Draw strokes `(across, up)`, see `_drawn`, over a picture."""
    values = Image.fromarray(as_radiologists_see(drawn)).resize(picture.size, Image.Resampling.NEAREST)
    for value, colour in ((1, HERE), (2, NOT_HERE)):
        mask = Image.fromarray(np.where(np.asarray(values) == value, 255, 0).astype(np.uint8))
        picture.paste(colour, (0, 0), mask)
