"""Labels of a data list's entries, by the names of the organs where these are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.data.datalist import Entry
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import find_segment_reader
from monai_semgan.io.label_ids import mapped_ids
from monai_semgan.io.label_names import NAMES, names_from
from monai_semgan.io.organ_folder import organ_files, read_organ_folder
from monai_semgan.io.reading import ANY_ID, read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.organs import structure_key

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing

MASK = 255
"""Number by which pictures of masks show their one structure; other programs write 1."""

Key = tuple[str, tuple[str, ...]]
"""What names of organs are compared by: see `structure_key`."""


def read_entry_label(entry: Entry, like: Volume | None = None, names: Mapping[int, str] | None = None) -> Volume:
    """The label of an entry, in ids that mean what the caller expects.

    Args:
        entry: with a label.
        like: its image. Where it is left out and the label cannot be read without, the image is read.
        names: organ name by label id, for example of a model; those of the data list when left out. If both tell
            names, plain label maps are renumbered by them.

    Raises:
        SemganError: as `monai_semgan.io.reading.read_label`; or list and caller have no organ in common.
    """
    assert entry.label is not None
    own = dict(entry.names) or None
    if entry.label.is_dir():
        return read_organ_folder(entry.label, names or own, like)
    segments = find_segment_reader(entry.label) is not None
    if segments and like is None:
        like = read_volume(entry.image)
    label = read_label(entry.label, like, ANY_ID, names or own)
    if not segments:
        label = of_mask(label, own or names or {})
    if segments or names is None or own is None:
        return label
    return renumbered(label, own, names, strict=True)


def of_mask(label: Volume, names: Mapping[int, str]) -> Volume:
    """A label map as it is; of a mask, which shows one structure by 255, in the id that this has.

    A mask of 1 is one where the structure has the id 255; otherwise 1 may be another structure of an atlas.

    Args:
        label: ids.
        names: organ name by id that they may have; nothing is a mask where there are none.

    Raises:
        SemganError: it is a mask of 0 and 255, and there are several structures that it may show.
    """
    highest = int(label.array.max(initial=0)) if names else 0
    known = highest == MASK or (highest == 1 and list(names) == [MASK])
    if not known or highest in names or not bool(np.isin(label.array, (0, highest)).all()):
        return label
    if len(names) == 1:
        return replace(label, array=mapped_ids(label.array, {highest: next(iter(names))}))
    problem = f"is a mask of 0 and 255, and which of {', '.join(names.values())} it shows is not told"
    remedy = f'name it in the data list: "labels": {{"255": "{next(iter(names.values()))}"}}'
    raise SemganError(problem, remedy=remedy, path=label.path)


def known_keys(entry: Entry, names: Mapping[int, str] | None = None) -> frozenset[Key] | None:
    """What the label of an entry knows, by `structure_key`: what it leaves out is unknown there, not absent.

    Its `labelled` tells, or the files of its folder.

    Args:
        entry: of a data list.
        names: organ name by label id, which the files of a folder are looked up by; those of the list when left out.

    Returns:
        Keys of names, or of ids where the list has no names; None where the label knows everything.
    """
    known = {structure_key(name) for name in entry.labelled} if entry.labelled else None
    if entry.label is not None and entry.label.is_dir():
        files, _ = organ_files(entry.label, names or dict(entry.names))
        found = {structure_key(name) for name in files}
        known = found if known is None else known & found
    return None if known is None else frozenset(known)


def known_classes(entry: Entry, preprocessing: Preprocessing) -> tuple[bool, ...]:
    """Which classes of a model the label of an entry knows, the background first, which is always known.

    Raises:
        SemganError: the entry knows none of the classes.
    """
    keys, names = known_keys(entry), dict(entry.names)
    if keys is None:
        return (True,) * preprocessing.num_classes
    ids = preprocessing.class_ids
    known = tuple(
        structure_key(names.get(index, str(index))) in keys or structure_key(str(index)) in keys for index in ids
    )
    if not any(known) and entry.labelled:
        wanted = ", ".join(names.get(index, str(index)) for index in ids)
        problem = f"knows {', '.join(entry.labelled)} alone, and none of the labels to learn ({wanted})"
        raise SemganError(
            problem, remedy='correct "labelled" in the data list, or leave the label out', path=entry.label
        )
    return (True, *known)


def entry_of_item(item: Mapping[str, Any]) -> Entry:
    """The entry of a data list that an item of MONAI's data sets stands for, its image loaded or not."""
    names = names_from(item.get(NAMES)) or {}
    image = item["image"]
    file = image if isinstance(image, (str, Path)) else image.meta["filename_or_obj"]
    return Entry(Path(file), Path(item["label"]), names=tuple(names.items()))


def names_of_ids(preprocessing: Preprocessing, labels: Mapping[int, str]) -> dict[int, str]:
    """Organ name by id in label files, for a model that knows organs by class."""
    ids = preprocessing.class_ids
    return {ids[index - 1]: name for index, name in labels.items()}


def renumbered(label: Volume, own: Mapping[int, str], wanted: Mapping[int, str], *, strict: bool = False) -> Volume:
    """A label map in other ids, by the names of the organs; what has no name there becomes background.

    Args:
        label: ids.
        own: organ name by id that it holds.
        wanted: organ name by id that is wanted.
        strict: refuse names that have nothing in common.

    Raises:
        SemganError: they have nothing in common.
    """
    ids = {structure_key(name): index for index, name in wanted.items()}
    table = {index: ids[structure_key(name)] for index, name in own.items() if structure_key(name) in ids}
    if strict and not table:
        names = f"{', '.join(own.values())}; expected are {', '.join(wanted.values())}"
        remedy = 'correct "labels" in the data list'
        raise SemganError(f"the data list names its labels {names}", remedy=remedy, path=label.path)
    return replace(label, array=mapped_ids(label.array, table))
