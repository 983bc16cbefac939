"""Slices in the order in which they lie in the patient, and whether they make up a volume.

The geometry is that of PS3.3 C.7.6.2.1.1: a pixel in row r and column c lies at
`position + c * spacing[1] * orientation[0] + r * spacing[0] * orientation[1]` (LPS mm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.stack_line import StackLine, fit_line

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

SAME_PLACE_MM = 0.01
SAME_DIRECTION = 1e-3
MAX_TILT_DEGREES = 0.5
MISSING = 0.5
"""Part of the slice distance by which one may be longer until a slice is missing there."""


class MixedStack(SemganError):
    """Report slices that make up several volumes: at one place, of several directions or sizes."""


class IncompleteStack(SemganError):
    """Report slices that are missing or damaged: the series would be read if it were copied again."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices that make up a volume.

    Args:
        frames: in order.
        affine: (4, 4) from (column, row, slice) to RAS mm.
        notes: what a user should know.
    """

    frames: tuple[Frame, ...]
    affine: np.ndarray
    notes: tuple[str, ...] = ()


def stack_slices(frames: Sequence[Frame], path: Path) -> Stack:
    """Order slices along their normal.

    Args:
        frames: slices of one series, in any order.
        path: what messages name.

    Raises:
        SemganError: they are not parallel, evenly spaced slices of one grid, each there once.
    """
    check_tags(frames)
    _check_same_grid(frames, path)
    first = frames[0]
    assert first.orientation is not None and first.spacing is not None
    across, down = first.orientation
    normal = np.cross(across, down)
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    frames, positions = [frames[i] for i in order], positions[order]
    notes: tuple[str, ...] = ()
    origin, step = positions[0], normal * (first.thickness or 1.0)
    if len(frames) == 1:
        how = (
            f"its thickness of {first.thickness:g} mm is taken" if first.thickness else "a thickness of 1 mm is assumed"
        )
        notes = (f"There is only one slice: {how}.",)
    else:
        _check_distances(frames, positions @ normal, path)
        line = fit_line(positions, normal)
        _check_line(line, positions @ normal, max(first.spacing), path)
        _check_tilt(line, normal, len(frames), path)
        origin, step = line.origin, line.step
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * first.spacing[1], down * first.spacing[0]
    affine[:3, 2], affine[:3, 3] = step, origin
    return Stack(tuple(frames), LPS_RAS @ affine, notes)


def places_of(frames: Sequence[Frame]) -> np.ndarray:
    """Number the places along the normal of the first slice: (n,), equal for slices at one place."""
    first = frames[0]
    assert first.orientation is not None
    heights = np.array([frame.position for frame in frames]) @ np.cross(*first.orientation)
    order = np.argsort(heights, kind="stable")
    distances = np.diff(heights[order], prepend=heights[order[0]])
    apart = distances[distances >= SAME_PLACE_MM]
    numbers = np.empty(len(frames), dtype=int)
    numbers[order] = np.cumsum(distances >= _same_place(apart))
    return numbers


def _same_place(distances: np.ndarray) -> float:
    """mm below which two slices lie at one place."""
    return max(SAME_PLACE_MM, 0.01 * float(np.median(distances))) if len(distances) else SAME_PLACE_MM


def frame_affine(frame: Frame) -> np.ndarray:
    """(4, 4) affine from (column, row, any) of a single slice to RAS mm.

    Raises:
        SemganError: the slice does not tell where it lies.
    """
    check_tags([frame])
    assert frame.orientation is not None and frame.spacing is not None
    across, down = frame.orientation
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * frame.spacing[1], down * frame.spacing[0]
    affine[:3, 2], affine[:3, 3] = np.cross(across, down), frame.position
    return LPS_RAS @ affine


def check_tags(frames: Sequence[Frame]) -> None:
    """Make sure that slices tell their place, orientation and spacing.

    Raises:
        SemganError: one does not, or what it tells is not possible.
    """
    for frame in frames:
        for value, name in (
            (frame.orientation, "image orientation"),
            (frame.position, "image position"),
            (frame.spacing, "pixel spacing"),
        ):
            if value is None:
                raise SemganError(
                    f"the header has no {name}", remedy="export the original images", path=frame.file.path
                )
        assert frame.spacing is not None and frame.orientation is not None
        if min(frame.spacing) <= 0:
            given = " x ".join(f"{s:g}" for s in frame.spacing)
            raise SemganError(
                f"pixel spacing {given} mm is not possible", remedy="export it again", path=frame.file.path
            )
        across, down = frame.orientation
        if np.abs([across @ across - 1, down @ down - 1, across @ down]).max() > SAME_DIRECTION * 10:
            raise SemganError("the image orientation is not possible", remedy="export it again", path=frame.file.path)


def _check_same_grid(frames: Sequence[Frame], path: Path) -> None:
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        found = " and ".join(f"{rows}x{columns}" for rows, columns in shapes[:2])
        raise MixedStack(f"the slices differ in size: {found}", remedy="export one stack as its own series", path=path)
    orientations = np.array([frame.orientation for frame in frames])
    if np.abs(orientations - orientations[0]).max() > SAME_DIRECTION:
        count = len(np.unique(np.round(orientations, 2), axis=0))
        raise MixedStack(
            f"the slices have {max(2, count)} different orientations",
            remedy="export one stack as its own series",
            path=path,
        )
    spacings = np.array([frame.spacing for frame in frames])
    if np.abs(spacings / spacings[0] - 1).max() > SAME_DIRECTION:
        raise MixedStack("the slices differ in pixel spacing", remedy="export one stack as its own series", path=path)


def _check_distances(frames: Sequence[Frame], heights: np.ndarray, path: Path) -> None:
    distances = np.diff(heights)
    usual = float(np.sort(distances)[(len(distances) - 1) // 2])
    doubled = np.flatnonzero(distances < _same_place(distances))
    if len(doubled):
        places = int(np.count_nonzero(np.diff(doubled, prepend=-2) > 1))
        names = " and ".join(frames[doubled[0] + i].file.path.name for i in (0, 1))
        problem = f"{places} places hold more than one slice, for example {names}"
        raise MixedStack(f"{problem} (several phases or echoes?)", remedy="export one of them alone", path=path)
    widest = int(distances.argmax())
    if distances[widest] / usual > 1 + MISSING:
        names = " and ".join(frames[widest + i].file.path.name for i in (0, 1))
        raise IncompleteStack(
            f"a gap of {distances[widest]:g} mm between {names}, where slices are {usual:g} mm apart: "
            "slices are missing",
            remedy="copy or export the whole series again",
            path=path,
        )


def _check_line(line: StackLine, heights: np.ndarray, pixel: float, path: Path) -> None:
    distances = np.diff(heights)
    if np.abs(line.along).max() > line.tolerance:
        raise SemganError(
            f"the slices are unevenly spaced, from {distances.min():g} to {distances.max():g} mm",
            remedy="export evenly spaced slices",
            path=path,
        )
    if line.across.max() > max(pixel, line.tolerance):
        raise SemganError("the slices are not stacked along a straight line", remedy="export the scan again", path=path)


def _check_tilt(line: StackLine, normal: np.ndarray, count: int, path: Path) -> None:
    along = abs(float(line.step @ normal))
    aside = float(np.linalg.norm(line.step - (line.step @ normal) * normal))
    tilt = float(np.degrees(np.arctan2(aside, along)))
    rounded = 2 * line.rounding + SAME_PLACE_MM
    if tilt > MAX_TILT_DEGREES and aside * (count - 1) > rounded:
        raise SemganError(
            f"the slices are tilted by {tilt:.1f} degrees against the direction of the stack (gantry tilt)",
            remedy="resample the scan to a straight grid, for example in 3D Slicer",
            path=path,
        )
