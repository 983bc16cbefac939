"""Labelled scans as a model sees them: slices, and where in them the structures are that it shall learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from monai_semgan.data.datalist import Entry
from monai_semgan.data.entries import known_keys, of_mask, read_entry_label
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import find_segment_reader
from monai_semgan.io.label_ids import mapped_ids
from monai_semgan.io.reading import ANY_ID, read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.organs import structure_key
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.progress import Progress
from monai_semgan.utils.side_by_side import undivided


@dataclass(frozen=True, eq=False)
class StructureScan:
    """A scan, and the structures in it.

    Attributes:
        entry: of the data list.
        image: slices `(D, C, H, W)` in -1..1.
        target: `(D, H, W)` uint8, 1 to A where the structures are, 0 elsewhere.
        truth: the same `(I, J, K)` uint8 on the scan's own grid.
        known: which of the structures, 1 to A, the label tells; one that it does not tell may be there all the same.
    """

    entry: Entry
    image: torch.Tensor
    target: torch.Tensor
    truth: np.ndarray
    known: frozenset[int]


def read_scans(
    entries: Sequence[Entry], structures: Sequence[NewStructure], preprocessing: Preprocessing, progress: Progress
) -> list[StructureScan]:
    """Read labelled scans, one after the other.

    Args:
        entries: with labels.
        structures: to learn; the first is 1 in what is read, and so on.
        preprocessing: of the model.
        progress: told before every scan.

    Raises:
        SemganError: a file cannot be used; no label holds one of the structures, or it is too small for the slices.
    """
    scans = []
    for number, entry in enumerate(entries):
        progress.update(number, len(entries), "reading scan")
        scans.append(_read(entry, structures, preprocessing))
    _check_all(scans, structures, preprocessing)
    return scans


def _read(entry: Entry, structures: Sequence[NewStructure], preprocessing: Preprocessing) -> StructureScan:
    volume = read_volume(entry.image)
    truth, known = structure_label(entry, volume, structures)
    with undivided():
        prepared = preprocessing(volume, entry.modality)
        classes = replace(preprocessing, num_classes=len(structures) + 1, label_ids=None)
        target = classes.label_slices(truth, prepared.geometry)
    return StructureScan(entry, prepared.image, target, truth, known)


def structure_label(
    entry: Entry, volume: Volume, structures: Sequence[NewStructure]
) -> tuple[np.ndarray, frozenset[int]]:
    """Read where structures are in a scan: ids 1 to A `(I, J, K)` uint8, and which of them the label tells.

    Raises:
        SemganError: the label cannot be read, or nothing says which id a structure has.
    """
    assert entry.label is not None
    wanted = {number: one.name for number, one in enumerate(structures, start=1)}
    if entry.label.is_dir() or find_segment_reader(entry.label) is not None:
        return _of_named(entry, volume, structures, wanted)
    label = read_label(entry.label, volume, ANY_ID)
    ids = _ids(entry, label, structures)
    if ids is None:
        label = of_mask(label, {1: structures[0].name})
        ids = _only_id(entry, label, structures[0])
    truth = mapped_ids(label.array, ids).astype(np.uint8)
    keys = known_keys(entry)
    told = [number for number, name in wanted.items() if keys is None or structure_key(name) in keys]
    return truth, frozenset(told)


def _of_named(
    entry: Entry, volume: Volume, structures: Sequence[NewStructure], wanted: dict[int, str]
) -> tuple[np.ndarray, frozenset[int]]:
    """Of named segments, by their names; by the values in the file where ids are given."""
    assert entry.label is not None
    if not entry.label.is_dir() and all(one.label_id is not None for one in structures):
        label = _values_of_segments(entry.label, volume)
        if label is not None:
            table = {int(one.label_id or 0): number for number, one in enumerate(structures, start=1)}
            return mapped_ids(label.array, table).astype(np.uint8), frozenset(wanted)
    label = read_entry_label(replace(entry, names=()), volume, wanted)
    keys = known_keys(entry, wanted)
    told = [number for number, name in wanted.items() if keys is None or structure_key(name) in keys]
    return label.array.astype(np.uint8), frozenset(told)


def _values_of_segments(path: Path, volume: Volume) -> Volume | None:
    """The values in a file of named segments; None where it has none, as DICOM."""
    try:
        return read_label(path, volume, ANY_ID)
    except SemganError:
        return None


def _ids(entry: Entry, label: Volume, structures: Sequence[NewStructure]) -> dict[int, int] | None:
    """Number 1 to A by id in a plain label map; None where only its own content can tell.

    Raises:
        SemganError: neither the data list nor a choice tells the id of a structure.
    """
    by_name = {structure_key(name): index for index, name in entry.names}
    found: dict[int, int] = {}
    for number, one in enumerate(structures, start=1):
        index = one.label_id if one.label_id is not None else by_name.get(structure_key(one.name))
        if index is None and not by_name and len(structures) == 1:
            return None
        if index is None:
            names = ", ".join(name for _, name in entry.names)
            problem = f"the data list names {names}, not {one.name}" if names else f"nothing tells the id of {one.name}"
            raise SemganError(problem, remedy="give its id in the label files with --label-id", path=label.path)
        found[index] = number
    return found


def _only_id(entry: Entry, label: Volume, structure: NewStructure) -> dict[int, int]:
    """The id of a mask, which holds no other one.

    Raises:
        SemganError: there are several.
    """
    ids = [int(index) for index in np.unique(label.array) if index]
    if len(ids) > 1:
        listed = ", ".join(map(str, ids[:12]))
        problem = f"holds the ids {listed}, and nothing tells which is {structure.name}"
        raise SemganError(problem, remedy="give its id with --label-id", path=entry.label)
    return {ids[0] if ids else 1: 1}


def _check_all(scans: Sequence[StructureScan], structures: Sequence[NewStructure], settings: Preprocessing) -> None:
    for number, one in enumerate(structures, start=1):
        holding = [scan for scan in scans if (scan.truth == number).any()]
        what = one.name if one.label_id is None else f"{one.name} (id {one.label_id})"
        if not holding:
            count = "the label does not show" if len(scans) == 1 else f"none of the {len(scans)} labels shows"
            remedy = "check its name or id, or label it in one scan at least"
            raise SemganError(f"{count} {what}", remedy=remedy, path=scans[0].entry.label)
        if not any((scan.target == number).any() for scan in holding):
            volumes = settings.field_of_view == "body"
            pixel = f"{settings.pixel_mm:g} mm" if volumes else f"1/{settings.size} of the image"
            problem = f"{what} is too small to be seen in the slices of this model, whose pixels are {pixel}"
            raise SemganError(problem, remedy="use a model with smaller pixels", path=holding[0].entry.label)
