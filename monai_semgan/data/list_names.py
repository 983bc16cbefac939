"""Names of labels that a data list tells, and which of them the label of one entry knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.organs import structure_key
from monai_semgan.utils.foreign_text import listed_text


def names_in(content: Mapping[str, Any], path: Path) -> tuple[tuple[int, str], ...]:
    """Organ names by label id, from `{"1": "liver"}` (as in MONAI and the Decathlon) or `{"liver": 1}` (nnU-Net).

    Args:
        content: of a file, with the names under `labels`.
        path: of the file.

    Raises:
        SemganError: a name or an id is missing, or means two things.
    """
    labels = content.get("labels") or {}
    try:
        pairs = labels.items()
        turned = all(str(key).isdigit() for key in labels)
        names = {int(key if turned else value): listed_text(value if turned else key) or "" for key, value in pairs}
        if len(names) < len(labels) or min(names, default=0) < 0 or not all(names.values()):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        remedy = 'write it as {"1": "liver", "2": "spleen"}'
        raise SemganError('"labels" does not tell the name of every label id', remedy=remedy, path=path) from None
    organs = sorted((index, name) for index, name in names.items() if index > 0)
    _check_names(organs, path)
    return tuple(organs)


def _check_names(organs: Sequence[tuple[int, str]], path: Path) -> None:
    """Refuse names that options could not tell apart: one of two ids, or the number of another id."""
    seen: dict[str, int] = {}
    for index, name in organs:
        other = seen.setdefault(" ".join(name.replace("_", " ").lower().split()), index)
        if other != index:
            problem = f'"labels" has one name, {name}, for the ids {other} and {index}'
            raise SemganError(problem, remedy="give each a name of its own", path=path)
        if name.isdecimal() and int(name) != index:
            problem = f'"labels" calls the id {index} by the number {name}'
            raise SemganError(problem, remedy="give it a name with letters", path=path)


def labelled_in(item: Mapping[str, Any], names: Sequence[tuple[int, str]], where: str, path: Path) -> tuple[str, ...]:
    """What the label of an entry knows, from `"labelled": ["liver", 2]`; empty where it knows everything.

    Args:
        item: an entry of a data list.
        names: label ids with their names, if the list tells.
        where: the entry stands, for messages.
        path: of the list.

    Returns:
        Names as the list writes them under `labels`, or ids where it names none.

    Raises:
        SemganError: it is no list of names and ids, there is no label, or a name is unknown.
    """
    given = item.get("labelled", item.get("labeled"))
    if given is None or isinstance(given, bool):
        return ()
    words = [listed_text(word) for word in (given if isinstance(given, list) else [given])]
    if not words or not all(words):
        problem, remedy = f'{where}: "labelled" is no list of labels', 'write it as "labelled": ["liver", "spleen"]'
        raise SemganError(problem, remedy=remedy, path=path)
    if not item.get("label"):
        problem = f'{where}: "labelled" tells what a label knows, and there is no label'
        raise SemganError(problem, remedy='add "label", or take "labelled" away', path=path)
    return tuple(dict.fromkeys(_listed_name(str(word), names, where, path) for word in words))


def _listed_name(word: str, names: Sequence[tuple[int, str]], where: str, path: Path) -> str:
    """A name as the list writes it under `labels`, from any spelling of it or from its id."""
    if not names:
        return word
    for index, name in names:
        if structure_key(word) == structure_key(name) or (word.isdecimal() and int(word) == index):
            return name
    problem, listed = f'{where}: "labelled" has {word!r}', ", ".join(name for _, name in names)
    raise SemganError(f'{problem}, which "labels" does not', remedy=f"it names {listed}", path=path)
