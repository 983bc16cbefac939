"""The scans that a model is tuned on: what their labels tell, and what the model itself finds where they tell nothing.

A label of somebody who has drawn the aorta alone does not say that there is no liver. What it leaves open is said by
the model itself: see `training/stages/kept_knowledge.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from monai_semgan.data.datalist import Entry
from monai_semgan.data.entries import known_keys, read_entry_label
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import write_volume
from monai_semgan.organs import structure_key
from monai_semgan.utils.files import write_utf8
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.utils.progress import Progress

T = TypeVar("T")

LEAST_LABELLED = 3
"""Labelled patients from which on one is held out where nobody says how many: of two, tuning would lose half."""


@dataclass(frozen=True)
class TunedClasses:
    """The classes of the model to come: those of the old one, in their order, then new ones.

    Args:
        old: structure name by class of the old model, 1 to K - 1.
        new: names of structures that it shall learn.
        ids: id in label files of structures where neither file nor list tells names; others have their class as id.
    """

    old: Mapping[int, str]
    new: Sequence[str] = ()
    ids: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if list(self.old) != list(range(1, len(self.old) + 1)):
            problem = f"the ids of this model's structures have gaps ({', '.join(map(str, self.old))})"
            raise SemganError(problem, remedy="tune an earlier version, without structures that were given an id")
        known = {structure_key(name) for name in self.old.values()}
        twice = [name for name in self.new if structure_key(name) in known]
        if twice:
            raise SemganError(f"the model knows {twice[0]} already", remedy="leave it out of the new structures")

    @property
    def names(self) -> dict[int, str]:
        """Structure name by class."""
        return {**self.old, **dict(enumerate(self.new, start=len(self.old) + 1))}

    @property
    def assumed(self) -> dict[int, str]:
        """Structure name by id in label files of which nothing tells the names.

        Raises:
            SemganError: an id means two structures.
        """
        keys = {structure_key(name): index for name, index in self.ids.items()}
        found: dict[int, str] = {}
        for number, name in sorted(self.names.items(), key=lambda item: item[0] in self.old, reverse=True):
            index = keys.get(structure_key(name), number)
            if index in found:
                problem = f"the id {index} means {found[index]} and {name}"
                raise SemganError(problem, remedy="give the new structure another id in the label files")
            found[index] = name
        return found


@dataclass(frozen=True, eq=False)
class TuningScan:
    """A scan with what its label tells.

    Attributes:
        entry: of the data list.
        label: class `(I, J, K)` uint8 of every voxel of the scan's grid, of those classes that are known; None for an
            unlabelled scan.
        known: classes that the label tells: they are absent where it does not show them.
        replayed: the old model's result `(I, J, K)` uint8; None where nobody has asked for it.
    """

    entry: Entry
    label: np.ndarray | None = None
    known: frozenset[int] = frozenset()
    replayed: np.ndarray | None = None

    def with_replay(self, bundle: Bundle) -> TuningScan:
        """Add what a model finds in the scan."""
        return replace(self, replayed=_found(self.entry, bundle))

    def with_found(self, bundle: Bundle, classes: Sequence[int]) -> TuningScan:
        """Take what a model finds of some classes into the label, where that neither knows them nor shows another."""
        found = _found(self.entry, bundle)
        label = np.zeros_like(found) if self.label is None else self.label
        open_ones = [index for index in classes if index not in self.known]
        filled = np.where((label == 0) & np.isin(found, open_ones), found, label)
        return replace(self, label=filled, known=self.known | set(open_ones))


def _found(entry: Entry, bundle: Bundle) -> np.ndarray:
    """Class `(I, J, K)` uint8 of every voxel that a model finds in a scan."""
    return segment(read_volume(entry.image), bundle, modality=entry.modality).label.astype(np.uint8)


def look_at(entry: Entry, classes: TunedClasses) -> TuningScan:
    """Read a scan and its label.

    Raises:
        SemganError: image or label cannot be used.
    """
    volume = read_volume(entry.image)
    if entry.label is None:
        return TuningScan(entry)
    named = entry if entry.names else replace(entry, names=tuple(classes.assumed.items()))
    given = read_entry_label(named, volume, classes.names).array
    known = _known(named, given, classes)
    return TuningScan(entry, np.where(np.isin(given, list(known)), given, 0).astype(np.uint8), known)


def _known(entry: Entry, given: np.ndarray, classes: TunedClasses) -> frozenset[int]:
    """Classes that a label tells: what is said of it, or else what it shows and what is new."""
    keys = known_keys(entry, classes.names)
    if keys is not None:
        return frozenset(index for index, name in classes.names.items() if structure_key(name) in keys)
    shown = {int(index) for index in np.unique(given)}
    return frozenset((shown & set(classes.names)) | (set(classes.names) - set(classes.old)))


def each_told(items: Sequence[T], message: str, progress: Progress) -> Iterator[T]:
    """Yield items, each after news of it.

    Raises:
        Cancelled: the user wants the work to end.
    """
    for number, item in enumerate(items):
        progress.update(number, len(items), message)
        if progress.should_stop():
            raise Cancelled
        yield item


def look_at_all(entries: Sequence[Entry], classes: TunedClasses, progress: Progress) -> list[TuningScan]:
    """Look at all scans, in order.

    Raises:
        SemganError: one cannot be used, or no label shows what shall be learnt.
        Cancelled: the user wants the work to end.
    """
    found = [look_at(entry, classes) for entry in each_told(entries, "looking at scan", progress)]
    shown = {int(index) for scan in found if scan.label is not None for index in np.unique(scan.label)}
    missing = [name for index, name in classes.names.items() if index not in classes.old and index not in shown]
    if missing:
        remedy = "label it in one scan at least, or check its id or name"
        raise SemganError(f"no label shows {missing[0]}", remedy=remedy)
    if not shown - {0}:
        remedy = f"the model knows {', '.join(classes.old.values())}"
        raise SemganError("no label shows a structure of the model", remedy=remedy)
    return found


def held_out_of(entries: Sequence[Entry], count: int | None) -> tuple[list[Entry], list[Entry]]:
    """Divide labelled entries into those to learn from and those to measure on, by patient; the last ones measure.

    Args:
        entries: of a data list; those without label are learnt from.
        count: patients to hold out; one of three or more when left out, none of fewer.

    Raises:
        SemganError: nothing would be left to learn from.
    """
    patients = list(dict.fromkeys(entry.patient for entry in entries if entry.label is not None))
    number = (1 if len(patients) >= LEAST_LABELLED else 0) if count is None else count
    if number >= len(patients):
        problem = f"{len(patients)} labelled patient{'' if len(patients) == 1 else 's'}, of which {number} held out"
        raise SemganError(f"{problem} leave none to learn from", remedy="label more scans, or lower --held-out")
    chosen = set(patients[len(patients) - number :])
    learnt = [entry for entry in entries if entry.patient not in chosen]
    return learnt, [entry for entry in entries if entry.patient in chosen and entry.label is not None]


def write_list(folder: Path, scans: Sequence[TuningScan], names: Mapping[int, str]) -> Path:
    """Write the labels, and a data list that a training takes.

    Args:
        folder: where they go.
        scans: to learn from.
        names: structure name by class.

    Returns:
        The data list.

    Raises:
        SemganError: they cannot be written.
    """
    training = [_written(scan, folder / f"{number}.nii.gz", names) for number, scan in enumerate(scans)]
    content = {"labels": {str(index): name for index, name in names.items()}, "training": training}
    return write_utf8(folder / "scans.json", json_text(content, indent=1))


def _written(scan: TuningScan, path: Path, names: Mapping[int, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"image": str(scan.entry.image.absolute()), "patient": scan.entry.patient}
    told |= {"modality": scan.entry.modality} if scan.entry.modality else {}
    if scan.label is None:
        return told
    write_volume(scan.label, read_volume(scan.entry.image), path, np.uint8)
    return told | {"label": str(path.absolute()), "labelled": [names[index] for index in sorted(scan.known)]}
