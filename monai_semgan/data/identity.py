"""One name for every scan of a list or folder: what its predictions, scores and records are called."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import stem

LONGEST = 200
"""Bytes of a name; endings, and the mark of files that are being written, still fit into the 255 of file systems."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
"""Separators, control characters, and bytes that are no text."""

_HIDDEN = re.compile(r"^\.|\.(?=seg$)", re.IGNORECASE)
"""A dot that hides a file, and one that turns `x.seg` with `.nrrd` into an ending of its own."""

_SPLIT = re.compile(r"(?i:^(train|val|test|fold))|T[rs]$")
"""Folders of a split, which name no patient."""


def scan_names(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Name scans by their files without ending; where several are equal, with the folders before it.

    The names are unique whatever case the letters have, safe as file names, and do not depend on the order. Files that
    differ in nothing else are told apart by their endings (`ct_nii`, `ct_nrrd`).

    Args:
        paths: files or folders.
        root: folder where the folders of a name begin, such as that of the data list.

    Raises:
        SemganError: a path is given twice.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]
    counts = Counter(absolute)
    twice = next((path for path in absolute if counts[path] > 1), None)
    if twice is not None:
        raise SemganError("is given twice: its results could not be told apart", remedy="keep one", path=twice)
    stems = [stem(path) or path.name or "scan" for path in absolute]
    roots = tuple(Path(found(root)).parts for found in (os.path.abspath, os.path.realpath))
    folders = [_folders(path.parts[:-1], roots) for path in absolute]
    levels = [0] * len(paths)
    while True:
        names = [_name(*parts) for parts in zip(absolute, folders, stems, levels, strict=True)]
        keys = Counter(map(name_key, names))
        crowded = [number for number, name in enumerate(names) if keys[name_key(name)] > 1]
        if not crowded:
            return tuple(names)
        for number in crowded:
            levels[number] += 1


def patient_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Tell who scans show where nobody says so: the file's name without ending.

    Where scans of one name lie alone in folders of their own, as `case_0/imaging.nii.gz` and `case_1/imaging.nii.gz`
    of KiTS or `s0001/ct.nii.gz` of TotalSegmentator, the folders tell patients apart: the nearest that are not all
    called alike, unless they are those of a split.

    Args:
        paths: files or folders.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]
    stems = [stem(path) for path in absolute]
    together = Counter(path.parent for path in absolute)
    groups: dict[str, list[int]] = {}
    for number, short in enumerate(stems):
        groups.setdefault(name_key(short), []).append(number)
    names = list(stems)
    for group in groups.values():
        if any(together[absolute[number].parent] > 1 for number in group):
            continue
        for level in zip(*(absolute[number].parts[-2:0:-1] for number in group), strict=False):
            if len(set(map(name_key, level))) > 1:
                if not all(map(_SPLIT.search, level)):
                    for number, name in zip(group, level, strict=True):
                        names[number] = name
                break
    return tuple(names)


def name_key(name: str) -> str:
    """Return what names are compared by: file systems may ignore case and the form of accents."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _name(path: Path, folders: Sequence[str], short: str, level: int) -> str:
    """Name of a scan: the more names are alike, the more goes into it."""
    content = "/".join([*folders, path.name, str(level)])
    digest = "_" + hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:8]
    ending = re.sub(r"[^0-9A-Za-z]+", "_", path.name[len(short) :])
    name = "__".join([*folders, short] if level > 0 else [short])
    name += (ending if level > 1 else "") + (digest if level > 2 else "")
    safe = _HIDDEN.sub("_", _UNSAFE.sub("_", name))
    if len(safe.encode()) <= LONGEST:
        return safe
    return safe.encode()[: LONGEST - len(digest)].decode(errors="ignore") + digest


def _folders(parts: tuple[str, ...], roots: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Folders between root and file; all of them for a file elsewhere."""
    for root in roots:
        if parts[: len(root)] == root:
            return parts[len(root) :]
    return parts[1:]
