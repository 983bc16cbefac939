"""Keys of a data list that look like those that count, and would be overlooked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

KEYS = ("image", "label", "patient", "modality", "labelled")
OTHER_SPELLINGS = ("labeled",)
SECTION_KEYS = ("training", "validation", "test", "labels")

LABEL_WORDS = frozenset(
    ("seg", "segs", "segmentation", "mask", "masks", "gt", "groundtruth", "annotation", "annotations", "lbl", "lab")
)
"""What programs call a label; beside a label, or in lists of scans without any, they mean something else."""

SECTION_WORDS = {
    **{name: name for name in ("training", "validation", "test")},
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "tests": "test",
    "testing": "test",
}
"""What lists call sections, in whatever case: other words that are in use mean the same."""

SIMILAR = 0.83
"""Of `SequenceMatcher`: one letter missing, doubled or exchanged in a word of five."""


def check_keys(item: Mapping[str, Any], where: str, path: Path) -> None:
    """Refuse a key of an entry that is meant as another one; further keys, such as `fold` or `id`, are fine.

    Args:
        item: an entry of a data list.
        where: it stands, for the message.
        path: of the list.

    Raises:
        SemganError: naming the key and what to call it.
    """
    for key, value in item.items():
        if key in OTHER_SPELLINGS:
            continue
        meant = _meant(key, [name for name in KEYS if name not in item])
        if meant is None and not item.get("label") and _plain(key) in LABEL_WORDS:
            meant = "label"
        telling = isinstance(value, str) or meant == "patient" or (meant == "labelled" and isinstance(value, list))
        if meant is not None and value and telling:
            raise SemganError(f'{where} has no "{meant}" but "{key}"', remedy=f'call it "{meant}"', path=path)


def check_sections(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a section, or names of labels, that would be overlooked.

    Raises:
        SemganError: naming the key and what to call it.
    """
    missing = [name for name in SECTION_KEYS if not content.get(name)]
    for key, value in content.items():
        meant = None if _is_section(key) else _meant(key, missing)
        if meant is not None and key != meant and isinstance(value, dict if meant == "labels" else list) and value:
            raise SemganError(f'has no "{meant}" but "{key}"', remedy=f'call it "{meant}"', path=path)


def renamed_sections(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], list[str]]:
    """Call sections of a data list by the package's words.

    Returns:
        The content, and a sentence on every section that the list calls otherwise.

    Raises:
        SemganError: two keys mean one section.
    """
    found, notes = dict(content), []
    for key, value in content.items():
        meant = SECTION_WORDS[_plain(key)] if _is_section(key) else key
        if key == meant or not isinstance(value, list) or not value:
            continue
        if found.get(meant):
            other = next(k for k in content if k != key and content[k] is found[meant])
            problem = f'has "{other}" and "{key}", which mean the same'
            raise SemganError(problem, remedy=f'put the entries of both under "{meant}"', path=path)
        found[meant] = value
        notes.append(f'"{key}" of the data list is taken as "{meant}"')
    return found, notes


def _is_section(key: str) -> bool:
    return _plain(key) in SECTION_WORDS


def _meant(key: str, names: Iterable[str]) -> str | None:
    plain = _plain(key)
    return next((name for name in names if plain == name or _alike(plain, name)), None)


def _alike(word: str, name: str) -> bool:
    """Whether a word is a slip of the keyboard, or the plural or singular; longer words mean something else."""
    if abs(len(word) - len(name)) > 1:
        return False
    return SequenceMatcher(None, word, name).ratio() >= SIMILAR or sorted(word) == sorted(name)


def _plain(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalpha())
