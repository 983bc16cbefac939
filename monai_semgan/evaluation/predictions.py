"""Find the label files of others for the entries of a data list: each belongs to one of them, or to none."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import label_endings, stem
from monai_semgan.io.organ_folder import is_label_file, organ_files

if TYPE_CHECKING:
    from monai_semgan.data.datalist import Entry

ORGAN_FOLDERS = ("", "segmentations")
"""Where one file per organ lies below the folder of a scan; the latter in data sets of TotalSegmentator."""


@dataclass(frozen=True)
class Prediction:
    """The label file of a scan, or its folder with one file per organ.

    Args:
        path: file or folder.
        organs: file by organ name, in a folder.
        others: names of further files there, which are no organs of the model.
    """

    path: Path
    organs: Mapping[str, Path] | None = None
    others: tuple[str, ...] = ()


def find_predictions(folder: Path, entries: Sequence[Entry], labels: Mapping[int, str]) -> dict[str, Prediction]:
    """Find label files, or folders with one file per organ, by name of the entry.

    They are called like the entry, or like image or patient where that means one entry only; where there is none of
    these, like the image with the folders before it. A file that is called like an entry belongs to no other.

    Args:
        folder: of the predictions.
        entries: with names.
        labels: organ name by id.

    Raises:
        SemganError: the folder is missing or holds no labels; one file could be of two entries, or two of one.
    """
    there = _present(folder, labels)
    own = {entry.name: there.pop(entry.name, []) for entry in entries}
    placed = _sharing(there, {entry.name: _placed_names(entry) for entry in entries if not own[entry.name]})
    sharing = placed | {n: e for n, e in _sharing(there, {e.name: _other_names(e) for e in entries}).items() if e}
    by_name = {entry.name: entry for entry in entries}
    found = {}
    for entry in entries:
        alone = [name for name in there if sharing[name] == [entry.name]]
        candidates = [*own[entry.name], *(item for name in alone for item in there[name])]
        unclear = next((name for name in there if entry.name in sharing[name]), None)
        if not candidates and unclear is not None:
            _refuse_shared(there[unclear][0].path, [by_name[name] for name in sharing[unclear]])
        files = [item for item in candidates if item.organs is None] or candidates  # parts may lie beside the whole
        if len(files) > 1:
            both = " and ".join(item.path.name for item in files[:2])
            raise SemganError(f"{both} are both of {entry.name}", remedy="keep one", path=folder)
        if files:
            found[entry.name] = files[0]
    return found


def _refuse_shared(path: Path, entries: Sequence[Entry]) -> None:
    both = " or of ".join(entry.name for entry in entries[:2])
    remedy = f"call it {entries[0].name}{path.name[len(stem(path)) :]}, if it is of that"
    raise SemganError(f"may be of {both}", remedy=remedy, path=path)


def _sharing(there: Collection[str], names: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Names of the entries that a file of each name may be of."""
    found: dict[str, list[str]] = {name: [] for name in there}
    for entry, others in names.items():
        for name in others & found.keys():
            found[name].append(entry)
    return found


def _other_names(entry: Entry) -> set[str]:
    """What else a prediction of an entry may be called: like image or patient; nnU-Net leaves out the channel."""
    short = stem(entry.image)
    return {short, entry.image.name, entry.patient, re.sub(r"_0000$", "", short)} - {""}


def _placed_names(entry: Entry) -> set[str]:
    """What `semgan segment` calls a scan that it finds in a folder: the folders of its name begin there."""
    parts = (*Path(os.path.abspath(entry.image)).parts[1:-1], stem(entry.image))
    return {"__".join(parts[start:]) for start in range(len(parts) - 1)}


def _present(folder: Path, labels: Mapping[int, str]) -> dict[str, list[Prediction]]:
    if not folder.is_dir():
        raise SemganError("no such folder of predictions", remedy="check --predictions", path=folder)
    there: dict[str, list[Prediction]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        item = _organ_folder(path, labels) if path.is_dir() else Prediction(path) if is_label_file(path) else None
        if item is not None:
            there.setdefault(stem(path), []).append(item)
    if not there:
        endings = ", ".join((*label_endings(), ".mhd"))
        remedy = f"known endings: {endings}; or a folder for every scan with a file per organ, as liver.nii.gz"
        raise SemganError("holds no label files", remedy=remedy, path=folder)
    return there


def _organ_folder(folder: Path, labels: Mapping[int, str]) -> Prediction | None:
    for below in ORGAN_FOLDERS:
        organs, others = organ_files(folder / below, labels)
        if organs:
            return Prediction(folder, organs, others)
    return None
