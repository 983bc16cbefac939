"""What label files hold, against what is to be learnt of them: ids that are no class, classes that no label shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.data.entries import MASK, read_entry_label
from monai_semgan.errors import SemganError
from monai_semgan.losses.label_losses import UNLABELLED

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry
    from monai_semgan.data.slice_set import SliceSet


def describe_ids(sets: Iterable[SliceSet | None], names: Mapping[int, str]) -> dict[int, str]:
    """Tell of every id in label files what it is called, how many voxels have it, and in which file.

    Args:
        sets: slices, which know what their label files hold.
        names: organ name by id.

    Returns:
        Words by id, such as `7 (aorta, 1234 voxels in case_3.nii.gz and 2 more files)`.
    """
    words: dict[int, list[str]] = {}
    files: dict[int, Counter[str]] = {}
    for slices in sets:
        if slices is None:
            continue
        for entry, counts in zip(slices.entries, slices.id_counts, strict=False):
            for index, count in counts.items():
                files.setdefault(index, Counter())[entry.label.name if entry.label else ""] += count
        for index in slices.file_ids:
            words[index] = [names[index]] if index in names else []
    for index, found in files.items():
        (file, count), *others = found.most_common()
        more = f" and {len(others)} more file{'' if len(others) == 1 else 's'}" if others else ""
        words.setdefault(index, []).append(f"{count} voxel{'' if count == 1 else 's'} in {file}{more}")
    return {index: f"{index} ({', '.join(told)})" if told else str(index) for index, told in words.items()}


def unseen_classes(slices: SliceSet) -> list[str]:
    """Sentences on classes that no label of a training shows, or none knows, and on labels that show more than told."""
    preprocessing, names = slices.preprocessing, slices.class_names
    ids = preprocessing.class_ids
    shown = set(slices.labels.unique().tolist()) - {0, UNLABELLED}
    if not shown:
        return []
    notes = []
    for number, index in enumerate(ids, start=1):
        if number in shown:
            continue
        name = f"{names[number]} (id {index})" if number in names else f"id {index}"
        if index not in slices.file_ids:
            why = "in no label file"
        elif slices.known is not None and not _known_to_a_label(slices, number):
            why = 'in label files, but in none whose "labelled" names it'
        else:
            why = "in label files, but too small for a pixel"
        notes.append(f"no training label shows {name}, which is {why}: it cannot be learnt, leave it out with --labels")
    return [*notes, *_hidden_classes(slices, ids)]


def _known_to_a_label(slices: SliceSet, number: int) -> bool:
    return any(e.label is not None and row[number] for e, row in zip(slices.entries, _known(slices), strict=True))


def _known(slices: SliceSet) -> list[list[bool]]:
    known: list[list[bool]] = [] if slices.known is None else slices.known.tolist()
    return known


def _hidden_classes(slices: SliceSet, ids: Sequence[int]) -> list[str]:
    """A sentence on the first label that shows a class which its entry does not call labelled."""
    found = [
        (entry.label.name, slices.class_names.get(number, f"id {index}"))
        for entry, counts, row in zip(slices.entries, slices.id_counts, _known(slices), strict=False)
        for number, index in enumerate(ids, start=1)
        if entry.label is not None and counts.get(index) and not row[number]
    ]
    if not found:
        return []
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return [f'{found[0][0]} shows {found[0][1]}, which its "labelled" does not name{more}: it is taken for unknown']


def unscored_classes(validation: SliceSet | None) -> list[str]:
    """A sentence on classes that no label of a validation knows: a training is not scored on them."""
    if validation is None or validation.known is None:
        return []
    ids = validation.preprocessing.class_ids
    names, known = validation.class_names, validation.known.any(0).tolist()
    unknown = [names.get(number, f"id {index}") for number, index in enumerate(ids, start=1) if not known[number]]
    return [f"no validation label knows {', '.join(unknown)}: these are not scored"] if unknown else []


def is_mask(entries: Sequence[Entry]) -> bool:
    """Whether labels are masks of 0 and 255, going by the first; for lists that name nothing."""
    entry = next((entry for entry in entries if entry.label is not None and entry.label.is_file()), None)
    if entry is None:
        return False
    try:
        ids = set(np.unique(read_entry_label(entry).array).tolist())
    except SemganError:  # it is told when it is prepared
        return False
    return ids <= {0, MASK} and MASK in ids
