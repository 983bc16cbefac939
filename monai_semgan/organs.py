"""Structures: names, SNOMED CT codes, colours, sides, pairs and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


ADULT_ML = {
    "liver": (600.0, 3500.0),
    "right kidney": (50.0, 500.0),
    "left kidney": (50.0, 500.0),
    "spleen": (30.0, 1200.0),
}
"""Wide bounds of adult volumes in ml: what lies outside deserves a look.

Means: liver 1,500; spleen 215 (Prassopoulos et al., Eur Radiol 1997); kidney 150 to 200 (Cheong et al., CJASN 2007).
"""


RIGHT_OF = (("liver", "spleen"), ("right kidney", "left kidney"), ("liver", "left kidney"), ("right kidney", "spleen"))
"""Pairs whose first organ lies on the patient's right of the second; reversed only in situs inversus."""


LARGER = (("liver", "spleen"),)
"""Pairs whose first organ is larger, but for a spleen that is very much enlarged."""


ABOVE = (("liver", "right kidney"), ("spleen", "left kidney"))
"""Pairs whose first organ has its centre nearer to the head."""


RESEARCH_ONLY = "Research use only, not for clinical use"


@dataclass(frozen=True)
class Code:
    """An entry of a coding scheme."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class Organ:
    """How an organ is named to other programs.

    Args:
        kind: what it is.
        colour: red, green, blue, 0 to 255.
        side: right or left, of paired organs.
        category: what kind of thing it is.
    """

    kind: Code
    colour: tuple[int, int, int]
    side: Code | None = None
    category: Code = Code("91723000", "Anatomical Structure")


@dataclass(frozen=True)
class Segments:
    """What the ids of a label map mean, and what made it.

    Args:
        names: organ name by id, without the background.
        model: name of the model.
        version: of the model.
    """

    names: Mapping[int, str]
    model: str = "monai_semgan"
    version: str = ""


SIDES = {"right": Code("24028007", "Right"), "left": Code("7771000", "Left")}


KINDS: dict[str, tuple[Code, tuple[int, int, int]]] = {
    "liver": (Code("10200004", "Liver"), (221, 130, 101)),
    "kidney": (Code("64033007", "Kidney"), (185, 102, 83)),
    "spleen": (Code("78961009", "Spleen"), (157, 108, 162)),
    "gallbladder": (Code("28231008", "Gallbladder"), (139, 150, 98)),
    "oesophagus": (Code("32849002", "Esophagus"), (211, 171, 143)),
    "stomach": (Code("69695003", "Stomach"), (216, 132, 105)),
    "aorta": (Code("15825003", "Aorta"), (224, 97, 76)),
    "inferior vena cava": (Code("64131007", "Inferior vena cava"), (0, 151, 206)),
    "portal vein": (Code("32764006", "Portal vein"), (0, 151, 206)),
    "pancreas": (Code("15776009", "Pancreas"), (249, 180, 111)),
    "adrenal gland": (Code("23451007", "Adrenal gland"), (249, 186, 150)),
    "lung": (Code("39607008", "Lung"), (197, 165, 145)),
    "heart": (Code("80891009", "Heart"), (206, 110, 84)),
}
"""Codes and colours as in 3D Slicer's list of general anatomy."""


SYNONYMS = {"esophagus": "oesophagus", "gall bladder": "gallbladder", "adrenal": "adrenal gland", "lungs": "lung"}


PAIRED = ("lung", "kidney", "adrenal gland", "clavicle")


def natural_pieces(name: str) -> int:
    """How many pieces an organ has: 2 for names such as ``"lungs"`` or ``"both kidneys"``, else 1."""
    words = name.replace("_", " ").lower().split()
    if words[:1] == ["both"]:
        return 2
    plain = " ".join(words)
    return 2 if plain.endswith("s") and plain.removesuffix("s") in PAIRED else 1


TISSUE = Code("85756007", "Tissue")


PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (220, 245, 20))
"""3D Slicer's generic colours, for what has no entry here."""


def find_organ(name: str, index: int = 1) -> Organ:
    """The organ of a label name; unknown names become tissue with a generic colour.

    Args:
        name: such as ``"right kidney"``; case, ``_`` and the order of the words for the side do not matter.
        index: id of the label; chooses the generic colour.
    """
    plain, sides = organ_key(name)
    if plain not in KINDS:
        return Organ(TISSUE, PALETTE[(index - 1) % len(PALETTE)], category=TISSUE)
    kind, colour = KINDS[plain]
    return Organ(kind, colour, SIDES[sides[0]] if len(sides) == 1 else None)


def organ_key(name: str) -> tuple[str, tuple[str, ...]]:
    """A label name without what does not matter (case, ``_``, place of the word for the side), and its sides."""
    words = name.replace("_", " ").lower().split()
    sides = tuple(word for word in words if word in SIDES)
    plain = " ".join(word for word in words if word not in SIDES)
    return SYNONYMS.get(plain, plain), sides
