"""The structures that a model shall learn: their names, their ids in label files, their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_semgan.bundle.own_structures import describe
from monai_semgan.errors import SemganError
from monai_semgan.organs import OWN_SCHEME, find_organ, structure_key, structure_of

LONGEST_NAME = 64
"""Characters of a name, as DICOM has it."""

WEAK = 0.2
"""Dice of a structure of which nobody has any use."""

MOST_CLASSES = 255
"""Ids of a label map of 8 bits."""


@dataclass(frozen=True)
class NewStructure:
    """A structure to learn.

    Args:
        name: such as `aorta`; unknown ones get a code of their own.
        label_id: its id in label files that tell no names; None: found by its name.
        colour: red, green, blue, 0 to 255; None: the structure's usual one, or a free one.

    Raises:
        SemganError: if name, id or colour cannot be.
    """

    name: str
    label_id: int | None = None
    colour: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        plain = " ".join(self.name.replace("_", " ").split())
        object.__setattr__(self, "name", plain)
        if not plain or len(plain) > LONGEST_NAME or not plain.isprintable() or "," in plain or ":" in plain:
            problem = f"{self.name!r} cannot be the name of a structure"
            raise SemganError(problem, remedy=f"use letters, digits and blanks, {LONGEST_NAME} at most")
        if plain.lower() == "background" or plain.isdigit():
            raise SemganError(f"{plain!r} is no name of a structure", remedy="give it a name, such as aorta")
        if self.label_id is not None and self.label_id < 1:
            raise SemganError(f"the label id {self.label_id} is none of a structure", remedy="give one from 1 on")
        if self.colour is not None and (len(self.colour) != 3 or not all(0 <= part <= 255 for part in self.colour)):
            raise SemganError(f"{self.colour} is no colour", remedy="give red, green and blue, 0 to 255")

    @property
    def own(self) -> bool:
        """Whether nobody knows it but models that were taught it: then it needs a code and a colour of its own."""
        known = structure_of(self.name)
        return known is None or known.code.scheme == OWN_SCHEME.designator

    def colour_at(self, index: int) -> tuple[int, int, int]:
        """Return its colour where it has this id in the model."""
        return self.colour or find_organ(self.name, index).colour


def described(structures: Sequence[NewStructure], first: int) -> list[dict[str, Any]]:
    """Describe structures that nobody knows for a bundle's metadata, see `monai_semgan.bundle.own_structures`.

    Args:
        structures: known ones are left out.
        first: id in the model of the first of them; the others follow.
    """
    numbered = enumerate(structures, start=first)
    return [describe(one.name, one.colour_at(index)) for index, one in numbered if one.own]


def check_new(structures: Sequence[NewStructure], labels: Mapping[int, str]) -> None:
    """Make sure that a model can learn structures.

    Args:
        structures: to learn.
        labels: structure name by id that it knows.

    Raises:
        SemganError: it knows one already, one is named twice, or there are too many.
    """
    if not structures:
        raise SemganError("no structure is named", remedy="name what is to be learnt, such as --structure aorta")
    known = {structure_key(name): name for name in labels.values()}
    ids: dict[int, str] = {}
    for one in structures:
        key = structure_key(one.name)
        if key in known and known[key] in labels.values():
            remedy = "make it better with --tune, or choose another name"
            raise SemganError(f"the model knows {known[key]!r} already", remedy=remedy)
        if key in known:
            raise SemganError(f"{one.name!r} is named twice", remedy="name it once")
        known[key] = one.name
        if one.label_id is not None and one.label_id in ids:
            problem = f"the label id {one.label_id} is given to {ids[one.label_id]} and to {one.name}"
            raise SemganError(problem, remedy="give each its own")
        if one.label_id is not None:
            ids[one.label_id] = one.name
    if len(labels) + len(structures) > MOST_CLASSES:
        raise SemganError(f"a model knows {MOST_CLASSES} structures at most", remedy="learn fewer")


def hardly_learnt(figures: Mapping[str, float]) -> str:
    """Say which structures were hardly learnt; empty where all were.

    Args:
        figures: Dice by name on what was held out.
    """
    weak = [name for name, value in figures.items() if value < WEAK]
    told = f"{' and '.join(weak)} {'was' if len(weak) == 1 else 'were'} hardly learnt"
    return f"{told}: give more time, or label more scans" if weak else ""
