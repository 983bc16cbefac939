"""The volumes of a series that holds several: echoes, phases, b-values, stacks of other directions or sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from monai_semgan.io.dicom.dicom_folder import same_pixels
from monai_semgan.io.dicom.frame_traits import TRAITS, read_traits, separates, sort_key
from monai_semgan.io.dicom.frames import Frame
from monai_semgan.io.dicom.series import Series
from monai_semgan.io.dicom.stack import SAME_DIRECTION, doubled, places_of
from monai_semgan.io.dicom.unused_files import COPY, UnusedFile

PLANES = ("sagittal", "coronal", "axial")
"""By the axis of the patient along which the normal points."""

Parts = list[tuple[str, list[Frame]]]


def split_series(series: Series) -> list[Series]:
    """Split a series into the volumes that it holds; a series that is one volume, or cannot be split, stays itself.

    Parts are named by what tells them apart, as `plane=axial`, `echo=2` or `b=800/direction=3`.

    Raises:
        SemganError: a file cannot be read any more.
    """
    frames = series.frames
    if any(frame.position is None or frame.orientation is None or frame.spacing is None for frame in frames):
        return [series]
    found: Parts = [("", frames)]
    for name, key in (("plane", _planes), ("size", _sizes), ("pixel", _pixels)):
        found = [(_joined(part, inner), chosen) for part, members in found for inner, chosen in key(members, name)]
    found = [(_joined(part, inner), chosen) for part, members in found for inner, chosen in _volumes(members)]
    kept = {frame.file for _, chosen in found for frame in chosen}
    left = dict.fromkeys(frame.file for frame in frames if frame.file not in kept)
    if len(found) == 1 and not left:
        return [series]
    copies = (*series.copies, *(UnusedFile(file, COPY) for file in left))
    return [_part(series, part, chosen, copies) for part, chosen in found]


def _part(series: Series, part: str, frames: list[Frame], copies: tuple[UnusedFile, ...]) -> Series:
    files = {frame.file for frame in frames}
    headers = tuple(header for header in series.headers if header.file in files or (header.localiser and not part))
    return replace(series, headers=headers, part=part, chosen=tuple(frames), copies=copies)


def _joined(part: str, inner: str) -> str:
    return "/".join(word for word in (part, inner) if word)


def _grouped(frames: Sequence[Frame], name: str, word: Callable[[Frame], str]) -> Parts:
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(word(frame), []).append(frame)
    if len(groups) == 1:
        return [("", list(frames))]
    return [(f"{name}={told}", groups[told]) for told in sorted(groups, key=sort_key)]


def _planes(frames: Sequence[Frame], name: str) -> Parts:
    """By direction; several of one plane are counted."""
    words: dict[Frame, str] = {}
    known: list[tuple[np.ndarray, str]] = []
    for frame in sorted(frames, key=lambda frame: np.round(_direction(frame), 2).ravel().tolist()):
        direction = _direction(frame)
        word = next((told for seen, told in known if np.abs(seen - direction).max() <= SAME_DIRECTION), None)
        if word is None:
            plane = PLANES[int(np.abs(np.cross(*direction)).argmax())]
            count = sum(told.startswith(plane) for _, told in known) + 1
            word = plane if count == 1 else f"{plane}{count}"
            known.append((direction, word))
        words[frame] = word
    return _grouped(frames, name, words.__getitem__)


def _direction(frame: Frame) -> np.ndarray:
    assert frame.orientation is not None
    return frame.orientation


def _sizes(frames: Sequence[Frame], name: str) -> Parts:
    return _grouped(frames, name, lambda frame: f"{frame.shape[1]}x{frame.shape[0]}")


def _pixels(frames: Sequence[Frame], name: str) -> Parts:
    return _grouped(frames, name, lambda frame: "x".join(f"{mm:.3g}" for mm in reversed(frame.spacing or ())))


def _volumes(frames: list[Frame]) -> Parts:
    """By the traits that tell slices at one place apart; copies under other UIDs are left out."""
    if not doubled(frames):
        return [("", frames)]
    traits = read_traits(frames)
    return _by_traits(frames, traits, list(TRAITS))


def _by_traits(frames: list[Frame], traits: dict[Frame, dict[str, str]], names: list[str]) -> Parts:
    if not doubled(frames):
        return [("", frames)]
    places = places_of(frames)
    for number, name in enumerate(names):
        words = {frame: traits[frame][name] for frame in frames}
        if separates(words, places):
            return [
                (_joined(part, inner), chosen)
                for part, members in _grouped(frames, name, words.__getitem__)
                for inner, chosen in _by_traits(members, traits, names[number + 1 :])
            ]
    return [("", _without_copies(frames))]


def _without_copies(frames: list[Frame]) -> list[Frame]:
    """One of several single-frame files with the same pixels at one place."""
    kept: dict[int, list[Frame]] = {}
    for frame, place in zip(frames, places_of(frames).tolist(), strict=True):
        twins = kept.setdefault(place, [])
        if not any(twin.file is not frame.file and same_pixels(twin.file, frame.file) for twin in twins):
            twins.append(frame)
    chosen = {frame for twins in kept.values() for frame in twins}
    return [frame for frame in frames if frame in chosen]
