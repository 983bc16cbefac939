"""Slices in the order in which they lie in the patient, and whether they make up a volume.

The geometry is that of PS3.3 C.7.6.2.1.1: a pixel in row r and column c lies at
`position + c * spacing[1] * orientation[0] + r * spacing[0] * orientation[1]` (LPS mm).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.frames import Frame

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

SAME_PLACE_MM = 0.01
SAME_DIRECTION = 1e-3
MAX_TILT_DEGREES = 0.5
MAX_UNEVENNESS = 0.1
"""Part of the slice distance by which single distances may differ from it."""


def stack_slices(frames: Sequence[Frame], path: Path) -> tuple[list[Frame], np.ndarray, list[str]]:
    """Orders slices along their normal.

    Args:
        frames: slices of one series, in any order.
        path: what messages name.

    Returns:
        The slices in order; (4, 4) affine from (column, row, slice) to RAS mm; notes.

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
    notes: list[str] = []
    if len(frames) == 1:
        step = normal * (first.thickness or 1.0)
        how = (
            f"its thickness of {first.thickness:g} mm is taken" if first.thickness else "a thickness of 1 mm is assumed"
        )
        notes.append(f"There is only one slice: {how}.")
    else:
        _check_distances(frames, positions @ normal, path)
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
        _check_tilt(positions, step, normal, path)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * first.spacing[1], down * first.spacing[0]
    affine[:3, 2], affine[:3, 3] = step, positions[0]
    return frames, LPS_RAS @ affine, notes


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
        raise SemganError(f"the slices differ in size: {found}", remedy="export one stack as its own series", path=path)
    orientations = np.array([frame.orientation for frame in frames])
    if np.abs(orientations - orientations[0]).max() > SAME_DIRECTION:
        count = len(np.unique(np.round(orientations, 2), axis=0))
        raise SemganError(
            f"the slices have {max(2, count)} different orientations",
            remedy="export one stack as its own series",
            path=path,
        )
    spacings = np.array([frame.spacing for frame in frames])
    if np.abs(spacings / spacings[0] - 1).max() > SAME_DIRECTION:
        raise SemganError("the slices differ in pixel spacing", remedy="export one stack as its own series", path=path)


def _check_distances(frames: Sequence[Frame], places: np.ndarray, path: Path) -> None:
    distances = np.diff(places)
    usual = float(np.median(distances))
    doubled = np.flatnonzero(distances < max(SAME_PLACE_MM, 0.01 * usual))
    if len(doubled):
        names = " and ".join(frames[doubled[0] + i].file.path.name for i in (0, 1))
        problem = f"{len(doubled)} places hold more than one slice, for example {names}"
        raise SemganError(f"{problem} (several phases or echoes?)", remedy="export one of them alone", path=path)
    uneven = np.flatnonzero(np.abs(distances - usual) > MAX_UNEVENNESS * usual)
    if not len(uneven):
        return
    at = int(uneven[np.abs(distances[uneven] - usual).argmax()])
    missing = distances[at] / usual - 1
    names = " and ".join(frames[at + i].file.path.name for i in (0, 1))
    if missing > 0.5:
        raise SemganError(
            f"a gap of {distances[at]:g} mm between {names}, where slices are {usual:g} mm apart: slices are missing",
            remedy="copy or export the whole series again",
            path=path,
        )
    raise SemganError(
        f"the slices are unevenly spaced, from {distances.min():g} to {distances.max():g} mm",
        remedy="export evenly spaced slices",
        path=path,
    )


def _check_tilt(positions: np.ndarray, step: np.ndarray, normal: np.ndarray, path: Path) -> None:
    length = float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, abs(step @ normal) / length))))
    if tilt > MAX_TILT_DEGREES:
        raise SemganError(
            f"the slices are tilted by {tilt:.1f} degrees against the direction of the stack (gantry tilt)",
            remedy="resample the scan to a straight grid, for example in 3D Slicer",
            path=path,
        )
    straight = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - straight, axis=1).max() > 0.5 * length + SAME_PLACE_MM:
        raise SemganError("the slices are not stacked along a straight line", remedy="export the scan again", path=path)
