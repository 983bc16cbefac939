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
from monai_semgan.io.dicom.uneven_stack import EvenPlanes, even_planes
from monai_semgan.io.private_note import PrivateNote

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

SAME_PLACE_MM = 0.01
SAME_DIRECTION = 1e-3
MAX_TILT_DEGREES = 0.5
MAX_RESAMPLED_DEGREES = 30.0
"""Gantries tilt so far; more is an error of the header, or another kind of stack."""

RESAMPLE = "semgan segment --resample takes it as it is"

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
        affine: (4, 4) from (column, row, slice) to RAS mm; sheared for slices that are tilted against their stack.
        notes: what a user should know.
        planes: evenly spaced ones, which `affine` places then, through slices that are not.
    """

    frames: tuple[Frame, ...]
    affine: np.ndarray
    notes: tuple[str, ...] = ()
    planes: EvenPlanes | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices of the volume."""
        rows, columns = self.frames[0].shape
        return columns, rows, len(self.frames) if self.planes is None else self.planes.count


def stack_slices(frames: Sequence[Frame], path: Path, resample: bool = False) -> Stack:
    """Order slices along their normal.

    Args:
        frames: slices of one series, in any order.
        path: what messages name.
        resample: take tilted and unevenly spaced slices too, and those among which some are missing.

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
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * first.spacing[1], down * first.spacing[0]
    if len(frames) == 1:
        how = (
            f"its thickness of {first.thickness:g} mm is taken" if first.thickness else "a thickness of 1 mm is assumed"
        )
        affine[:3, 2], affine[:3, 3] = normal * (first.thickness or 1.0), positions[0]
        return Stack(tuple(frames), LPS_RAS @ affine, (f"There is only one slice: {how}.",))
    line, planes, refusal, notes = _line_of(frames, positions, normal, path)
    if refusal is not None and not resample:
        raise refusal
    affine[:3, 2], affine[:3, 3] = line.step, line.origin
    return Stack(tuple(frames), LPS_RAS @ affine, notes, planes)


def _line_of(
    frames: Sequence[Frame], positions: np.ndarray, normal: np.ndarray, path: Path
) -> tuple[StackLine, EvenPlanes | None, SemganError | None, tuple[str, ...]]:
    """The line of a stack; planes if it is uneven; why it is refused unless it is resampled; and notes then."""
    heights = positions @ normal
    _check_places(frames, heights, path)
    line, planes, notes = fit_line(positions, normal), None, []
    refusal = _unevenness(frames, line, heights, path)
    if refusal is not None:
        try:
            planes = even_planes(frames, heights, line.rounding)
        except SemganError as reason:
            raise type(refusal)(f"{refusal.problem}; {reason.problem}", remedy=refusal.remedy, path=path) from None
        line = fit_line(positions, normal, planes.places)
        refusal = type(refusal)(refusal.problem, remedy=f"{refusal.remedy}; or {RESAMPLE}", path=path)
        notes.append(_uneven_note(frames, heights, planes, float(line.step @ normal)))
    _check_straight(line, max(frames[0].spacing or ()), path)
    tilt = _tilt_of(line, normal, len(frames) if planes is None else planes.count)
    if tilt:
        problem = f"the slices are tilted by {tilt:.1f} degrees against the direction of the stack (gantry tilt)"
        if tilt > MAX_RESAMPLED_DEGREES:
            raise SemganError(problem, remedy="check the positions in the header", path=path)
        refusal = refusal or SemganError(problem, remedy=RESAMPLE, path=path)
        notes.append(
            f"The slices are tilted by {tilt:.1f} degrees against the direction of the stack (gantry tilt): they are "
            "taken as they are, on a sheared grid."
        )
    return line, planes, refusal, tuple(notes)


def _uneven_note(frames: Sequence[Frame], heights: np.ndarray, planes: EvenPlanes, step: float) -> str:
    distances = np.diff(heights)
    if not planes.on_planes:
        return (
            f"The slices are unevenly spaced, from {distances.min():g} to {distances.max():g} mm: each is taken for "
            f"the nearest of {planes.count} planes {step:.4g} mm apart, the others are interpolated."
        )
    gaps, widest = int(np.count_nonzero(distances > (1 + MISSING) * step)), int(np.diff(planes.places).argmax())
    count = planes.count - len(frames)
    told = f"{count} slice{'s are' if count > 1 else ' is'} missing in {gaps} gap{'s' if gaps > 1 else ''}"
    names = " and ".join(frames[widest + i].file.path.name for i in (0, 1))
    size = f"the widest, of {distances[widest]:.4g} mm where slices are {step:.4g} mm apart,"
    end = f"slices {widest + 1} and {widest + 2} of {len(frames)}"
    text = "{}: {} lies between {}; values there are interpolated."
    return PrivateNote(text.format(told, size, f"{names} ({end})"), text.format(told, size, end))


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


def doubled(frames: Sequence[Frame]) -> bool:
    """Tell whether a place holds more than one slice."""
    return len(set(places_of(frames).tolist())) < len(frames)


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


def _check_places(frames: Sequence[Frame], heights: np.ndarray, path: Path) -> None:
    distances = np.diff(heights)
    doubled = np.flatnonzero(distances < _same_place(distances))
    if len(doubled):
        places = int(np.count_nonzero(np.diff(doubled, prepend=-2) > 1))
        names = " and ".join(frames[doubled[0] + i].file.path.name for i in (0, 1))
        problem = f"{places} places hold more than one slice, for example {names}"
        raise MixedStack(f"{problem} (several phases or echoes?)", remedy="export one of them alone", path=path)


def _unevenness(frames: Sequence[Frame], line: StackLine, heights: np.ndarray, path: Path) -> SemganError | None:
    """What is wrong with the distances of slices."""
    distances = np.diff(heights)
    usual = float(np.sort(distances)[(len(distances) - 1) // 2])
    widest = int(distances.argmax())
    if distances[widest] / usual > 1 + MISSING:
        names = " and ".join(frames[widest + i].file.path.name for i in (0, 1))
        return IncompleteStack(
            f"a gap of {distances[widest]:g} mm between {names}, where slices are {usual:g} mm apart: "
            "slices are missing",
            remedy="copy or export the whole series again",
            path=path,
        )
    if np.abs(line.along).max() > line.tolerance:
        return SemganError(
            f"the slices are unevenly spaced, from {distances.min():g} to {distances.max():g} mm",
            remedy="export evenly spaced slices",
            path=path,
        )
    return None


def _check_straight(line: StackLine, pixel: float, path: Path) -> None:
    if line.across.max() > max(pixel, line.tolerance):
        raise SemganError("the slices are not stacked along a straight line", remedy="export the scan again", path=path)


def _tilt_of(line: StackLine, normal: np.ndarray, count: int) -> float:
    """Degrees between the stack and the normal of its slices; 0 where it does not matter."""
    aside = float(np.linalg.norm(line.step - (line.step @ normal) * normal))
    tilt, rounded = line.tilt(normal), 2 * line.rounding + SAME_PLACE_MM
    return tilt if tilt > MAX_TILT_DEGREES and aside * (count - 1) > rounded else 0.0
