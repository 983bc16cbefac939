"""What tells slices at one place apart: echo, b-value, phase and the like.

Read only where a series holds several volumes; all other series do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.io.dicom.dicom_files import DicomFile
from monai_semgan.io.dicom.frames import Frame, several
from monai_semgan.io.dicom.headers import quiet, read_dataset

if TYPE_CHECKING:
    from pydicom import Dataset

TRAITS: dict[str, tuple[str | int, ...]] = {
    "echo": ("EchoNumbers",),
    "te": ("EffectiveEchoTime", "EchoTime"),
    "b": ("DiffusionBValue", 0x0019100C, 0x00431039, 0x20011003),
    "phase": ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    "heart": ("NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    "type": ("FrameType", "ImageType"),
    "component": ("ComplexImageComponent",),
    "acquisition": ("FrameAcquisitionNumber", "AcquisitionNumber"),
    "kv": ("KVP",),
    "kernel": ("ConvolutionKernel",),
    "inversion": ("InversionTimes", "InversionTime"),
    "flip": ("FlipAngle",),
    "direction": ("DiffusionGradientOrientation",),
    "time": ("FrameAcquisitionDateTime", "AcquisitionTime", "ContentTime"),
}
"""Name of a trait, and the elements that tell it, the first of them that is there: numbers are private ones of Siemens,
GE and Philips. In this order they are tried; what scanners count comes before what they merely record."""

COUNTED = ("direction", "time")
"""Traits whose values say nothing to a person, or too much: they are counted from 1."""

GE_B_OFFSET = 1_000_000_000
"""GE adds it to b-values of which it wants to say that they were calculated."""

TAGS: list[Any] = [tag for tags in TRAITS.values() for tag in tags]
TAGS += [
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "NumberOfFrames",
]

Value = tuple[Any, ...]


def read_traits(frames: Sequence[Frame]) -> dict[Frame, dict[str, str]]:
    """Read the traits of slices, as text: `{"echo": "2", "te": "4.6", ...}`.

    Raises:
        SemganError: a file cannot be read any more.
    """
    raw: dict[Frame, dict[str, Value]] = {}
    files: dict[DicomFile, list[Frame]] = {}
    for frame in frames:
        files.setdefault(frame.file, []).append(frame)
    for file, members in files.items():
        dataset = read_dataset(file, tags=TAGS)
        with quiet():
            for frame in members:
                sources = _sources(dataset, frame.index)
                raw[frame] = {name: _value(sources, name) for name in TRAITS}
    words = {name: _words(name, {values[name] for values in raw.values()}) for name in TRAITS}
    return {frame: {name: words[name][value] for name, value in values.items()} for frame, values in raw.items()}


def _sources(dataset: Dataset, index: int) -> list[Any]:
    """Parts of the header that tell of a frame, the closest first."""
    found: list[Any] = []
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        groups = dataset.get(name) or []
        at = index if name.startswith("Per") else 0
        if at < len(groups):
            found += _nested(groups[at], depth=3)
    return [*found, dataset]


def _nested(item: Any, depth: int) -> list[Any]:
    inner = [element.value[0] for element in item if element.VR == "SQ" and element.value] if depth else []
    return [item, *(deep for part in inner for deep in _nested(part, depth - 1))]


def _value(sources: Iterable[Any], name: str) -> Value:
    for tag in TRAITS[name]:
        for source in sources:
            try:
                element = source[tag] if source.__contains__(tag) else None
                values = [] if element is None else _numbers(element.value, tag)
            except Exception:  # damaged values make pydicom raise nearly anything
                continue
            if values:
                return tuple(values)
    return ()


def _numbers(value: Any, tag: str | int) -> list[Any]:
    if isinstance(value, bytes):  # private elements without their types
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    values: list[Any] = []
    for entry in several(value):
        try:
            values.append(float(entry))
        except (TypeError, ValueError):
            values.append(str(entry).strip().upper())
    if tag == 0x00431039:  # GE: the first of several numbers
        values = [values[0] % GE_B_OFFSET]
    return values


def _words(name: str, values: set[Value]) -> dict[Value, str]:
    """Short, different words for the values of a trait."""
    ordered = sorted(values, key=lambda value: tuple((isinstance(v, str), v) for v in value))
    if name in COUNTED:
        return {value: str(number) for number, value in enumerate(ordered, start=1)}
    common = set.intersection(*(set(value) for value in values)) if len(values) > 1 and name == "type" else set()
    words: dict[Value, str] = {}
    for value in ordered:
        told = "-".join(_word(entry) for entry in value if entry not in common) or "none"
        words[value] = told if told not in words.values() else f"{told}-{len(words) + 1}"
    return words


def _word(entry: Any) -> str:
    return f"{entry:g}" if isinstance(entry, float) else "_".join(str(entry).replace("/", "_").split())


def sort_key(word: str) -> tuple[bool, float, str]:
    """Sort numbers as numbers, before words."""
    try:
        return False, float(np.float64(word)), word
    except ValueError:
        return True, 0.0, word


def separates(words: Mapping[Frame, str], places: np.ndarray) -> bool:
    """Tell whether a trait sorts slices into volumes, and does not merely change from slice to slice.

    Args:
        words: the trait by slice, in the order of `places`.
        places: number of the place of each slice.
    """
    told = list(words.values())
    members: dict[str, set[int]] = {}
    seen: dict[int, set[str]] = {}
    for word, place in zip(told, places.tolist(), strict=True):
        members.setdefault(word, set()).add(place)
        seen.setdefault(place, set()).add(word)
    most = int(np.bincount(places).max())
    stacked = len(seen) == 1 or min(len(found) for found in members.values()) > 1
    return 1 < len(members) <= most and stacked and max(len(found) for found in seen.values()) > 1
