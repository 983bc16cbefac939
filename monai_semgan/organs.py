"""Structures: one entry each with name, code, colour, pair, size and place; everything that names them reads here.

Adding a structure touches this file alone, or none: `register_structure` takes it from any program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from colorsys import hsv_to_rgb, rgb_to_hsv
from dataclasses import dataclass
from itertools import groupby

from monai_semgan.errors import SemganError

RESEARCH_ONLY = "Research use only, not for clinical use"


@dataclass(frozen=True)
class Code:
    """An entry of a coding scheme."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class CodingScheme:
    """A private coding scheme, as DICOM wants it to be identified (PS3.3 C.12.1.1.7).

    Args:
        designator: what its codes name it by.
        name: what it is.
        organisation: who answers for it.
    """

    designator: str
    name: str
    organisation: str


OWN_SCHEME = CodingScheme("99SEMGAN", "Structures named by users of monai_semgan: codes made of names", "monai_semgan")
"""Of structures that have no code elsewhere; DICOM keeps designators that begin with 99 for private schemes."""


@dataclass(frozen=True)
class Structure:
    """What is known of a structure, whatever model segments it.

    Names of others in the last fields are label names, with the side where there are two.

    Args:
        name: in lower case, without a side, such as `kidney`.
        code: SNOMED CT.
        colour: red, green, blue, 0 to 255; out of the list of general anatomy of 3D Slicer.
        left_colour: of the left one of a pair, which must not be taken for the right one; made of `colour` when left
            out.
        synonyms: other names.
        paired: whether there is one on each side.
        adult_ml: wide bounds of the volume in adults, in ml, of one side; what lies outside deserves a look.
        one_sided: whether its place tells right from left.
        right_of: structures that lie on the patient's left of it, but in situs inversus.
        left_of: structures that lie on the patient's right of it.
        above: structures whose centre lies nearer to the feet; of two paired ones those on the same side are meant.
        larger_than: structures that are smaller in all but rare patients.
        pieces: how many pieces it naturally has, of one side; None where its pieces tell nothing: all are kept but
            specks.
        speck_ml: pieces that are smaller, in ml, are specks.
        passes_through: whether it goes on where a scan of this region ends: its volume and its centre tell of the scan
            then, and an end at the scan's end is no cut.
    """

    name: str
    code: Code
    colour: tuple[int, int, int]
    synonyms: tuple[str, ...] = ()
    paired: bool = False
    adult_ml: tuple[float, float] | None = None
    one_sided: bool = False
    right_of: tuple[str, ...] = ()
    left_of: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    larger_than: tuple[str, ...] = ()
    left_colour: tuple[int, int, int] | None = None
    pieces: int | None = 1
    speck_ml: float = 1.0
    passes_through: bool = False

    def colour_of(self, sides: tuple[str, ...]) -> tuple[int, int, int]:
        """Return the colour of the structure on these sides: of none or both as on the right."""
        if not self.paired or sides != ("left",):
            return self.colour
        return self.left_colour or other_side(self.colour)


@dataclass(frozen=True)
class Organ:
    """How the structure of a label is named to other programs.

    Args:
        kind: what it is.
        colour: red, green, blue, 0 to 255.
        side: right or left, of paired structures.
        category: what kind of thing it is.
    """

    kind: Code
    colour: tuple[int, int, int]
    side: Code | None = None
    category: Code = Code("91723000", "Anatomical Structure")

    @property
    def coded(self) -> str:
        """Code, meaning and side, as a text names them."""
        side = f", {self.side.meaning.lower()}" if self.side is not None else ""
        return f"{self.kind.value} {self.kind.meaning}{side}"


@dataclass(frozen=True)
class Segments:
    """What the ids of a label map mean, and what made it.

    Args:
        names: structure name by id, without the background.
        model: name of the model.
        version: of the model.
    """

    names: Mapping[int, str]
    model: str = "monai_semgan"
    version: str = ""


SIDES = {"right": Code("24028007", "Right"), "left": Code("7771000", "Left")}

_SHORT = {"rkid": "right kidney", "lkid": "left kidney"}
"""Names in which the word for the side is none, as in the data lists of BTCV."""

TISSUE = Code("85756007", "Tissue")
PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (220, 245, 20))
"""Generic colours of 3D Slicer, for what has no entry here."""

# Mean volumes of adults: liver 1,500 ml; spleen 215 ml (Prassopoulos et al., Eur Radiol 1997); kidney 150 to 200 ml
# (Cheong et al., CJASN 2007); pancreas 72 ml (Saisho et al., Clin Anat 2007). In the labels of 24 CT (BTCV) a
# gallbladder has 3 to 81 ml, an adrenal gland 1.8 to 11 ml. A stomach holds what was eaten: no bounds.
#
# Colours are the structure's own in 3D Slicer's list unless one that lies beside it looks alike there (stomach and
# liver, aorta and kidney, oesophagus and pancreas, adrenal gland and pancreas, all veins): then another one of it.
#
# Pieces: in 8 of the 24 CT the aorta is in two, ascending and descending below an arch that the scan leaves out. An
# oesophagus that is collapsed in one slice, and a splenic vein of two pixels that winds through the slices, come in
# pieces, of which none is wrong for being small.
_BUILT_IN = (
    Structure(
        "liver",
        Code("10200004", "Liver"),
        (221, 130, 101),
        adult_ml=(600.0, 3500.0),
        one_sided=True,
        right_of=("spleen", "left kidney", "stomach"),
        above=("right kidney",),
        larger_than=("spleen",),
    ),
    Structure(
        "kidney",
        Code("64033007", "Kidney"),
        (185, 102, 83),
        paired=True,
        adult_ml=(50.0, 500.0),
        left_colour=(232, 196, 64),
    ),
    Structure(
        "spleen",
        Code("78961009", "Spleen"),
        (157, 108, 162),
        adult_ml=(30.0, 1200.0),
        one_sided=True,
        left_of=("right kidney", "gallbladder"),
        above=("left kidney",),
    ),
    Structure(
        "gallbladder",
        Code("28231008", "Gallbladder"),
        (139, 150, 98),
        synonyms=("gall bladder",),
        adult_ml=(1.0, 250.0),
    ),
    Structure(
        "oesophagus",
        Code("32849002", "Esophagus"),
        (204, 168, 143),
        synonyms=("esophagus",),
        above=("stomach",),
        pieces=None,
        passes_through=True,
    ),
    Structure("stomach", Code("69695003", "Stomach"), (253, 135, 192)),
    Structure("aorta", Code("15825003", "Aorta"), (188, 65, 28), pieces=2, passes_through=True),
    Structure(
        "inferior vena cava",
        Code("64131007", "Inferior vena cava"),
        (0, 151, 206),
        synonyms=("postcava",),
        right_of=("aorta",),
        passes_through=True,
    ),
    Structure("portal vein", Code("32764006", "Portal vein"), (88, 106, 215), pieces=None),
    Structure(
        "portal vein and splenic vein",
        Code("110765007", "Portal vein and splenic vein"),
        (88, 106, 215),
        synonyms=("portal and splenic vein", "portal and splenic veins"),
        pieces=None,
    ),
    Structure("pancreas", Code("15776009", "Pancreas"), (249, 180, 111), adult_ml=(15.0, 250.0)),
    Structure(
        "adrenal gland",
        Code("23451007", "Adrenal gland"),
        (57, 157, 110),
        synonyms=("adrenal",),
        paired=True,
        adult_ml=(1.0, 20.0),
        above=("kidney",),
        left_colour=(140, 224, 228),
        speck_ml=0.3,
    ),
    Structure("lung", Code("39607008", "Lung"), (197, 165, 145), synonyms=("lungs",), paired=True),
    Structure("heart", Code("80891009", "Heart"), (206, 110, 84)),
    Structure("clavicle", Code("51299004", "Clavicle"), (241, 214, 145), paired=True),
)

_STRUCTURES: dict[str, Structure] = {}
_PLAIN: dict[str, str] = {}


def register_structure(structure: Structure) -> Structure:
    """Make a structure known to reports, label files, checks of the anatomy and augmentation.

    Raises:
        SemganError: if its name, or a synonym, is taken.
    """
    names = (structure.name, *structure.synonyms)
    taken = [name for name in names if name in _PLAIN]
    if taken:
        raise SemganError(f"the structure {taken[0]!r} is known already", remedy="choose another name")
    _STRUCTURES[structure.name] = structure
    _PLAIN.update(dict.fromkeys(names, structure.name))
    return structure


def forget_structure(name: str) -> None:
    """Take a registered structure back."""
    structure = _STRUCTURES.pop(name)
    for known in (structure.name, *structure.synonyms):
        del _PLAIN[known]


for _structure in _BUILT_IN:
    register_structure(_structure)


def structures() -> tuple[Structure, ...]:
    """All known structures, in the order in which they were registered."""
    return tuple(_STRUCTURES.values())


def structure_of(name: str) -> Structure | None:
    """Find the structure of a label name, such as `Right_Kidney`; None if it is unknown."""
    return _STRUCTURES.get(structure_key(name)[0])


def structure_key(name: str) -> tuple[str, tuple[str, ...]]:
    """Split a label name into the structure's own name and its sides.

    Case, `_`, synonyms and the place of the word for the side do not matter.
    """
    plain = name.replace("_", " ").lower()
    words = _SHORT.get(plain, plain).split()
    sides = tuple(word for word in words if word in SIDES)
    plain = " ".join(word for word in words if word not in SIDES)
    return _PLAIN.get(plain, plain), sides


def find_organ(name: str, index: int = 1) -> Organ:
    """Find code and colour of a label name; unknown names become tissue with a generic colour.

    Args:
        name: such as `right kidney`, see `structure_key`.
        index: id of the label; chooses the generic colour.
    """
    structure, sides = structure_of(name), structure_key(name)[1]
    if structure is None:
        return Organ(TISSUE, _generic_colour(index), category=TISSUE)
    return Organ(structure.code, structure.colour_of(sides), SIDES[sides[0]] if len(sides) == 1 else None)


def _generic_colour(index: int) -> tuple[int, int, int]:
    """Return the colour of an unknown label: of the palette, and once that is used up with hues between its own."""
    turn, place = divmod(index - 1, len(PALETTE))
    return _turned(PALETTE[place], turn * 0.11) if turn else PALETTE[place]


def other_side(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return a colour for the other one of a pair, which nobody mixes up: a third of the circle of hues further."""
    return _turned(colour, 1 / 3)


def _turned(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """Return the colour a share of the circle of hues further, and never pale."""
    hue, saturation, value = rgb_to_hsv(*(part / 255 for part in colour))
    red, green, blue = hsv_to_rgb((hue + share) % 1, max(saturation, 0.5), max(value, 0.6))
    return round(red * 255), round(green * 255), round(blue * 255)


def natural_pieces(name: str) -> int | None:
    """Tell how many pieces a label has: twice as many for names such as `lungs` or `both kidneys`; None for any number.

    Examples:
        >>> natural_pieces("right kidney"), natural_pieces("both kidneys"), natural_pieces("tumour")
        (1, 2, 1)
    """
    structure, plain = structure_of(name), " ".join(name.replace("_", " ").lower().split())
    sides = 1
    if plain.startswith("both "):
        structure, sides = structure_of(plain.removeprefix("both ")), 2
    singular = _STRUCTURES.get(plain.removeprefix("both ").removesuffix("s")) if plain.endswith("s") else None
    if singular is not None and singular.paired:
        structure, sides = singular, 2
    pieces = structure.pieces if structure is not None else 1
    return None if pieces is None else sides * pieces


def speck_ml(name: str) -> float:
    """Look up how small a piece of a label is a speck, in ml."""
    structure = structure_of(name)
    return Structure.speck_ml if structure is None else structure.speck_ml


def passes_through(name: str) -> bool:
    """Tell whether a structure goes on where a scan of its region ends, such as a large vessel."""
    structure = structure_of(name)
    return structure is not None and structure.passes_through


def adult_ml(name: str) -> tuple[float, float] | None:
    """Look up the bounds of the volume in adults, in ml, of one label; None where they are not known."""
    structure, sides = structure_of(name), structure_key(name)[1]
    return structure.adult_ml if structure is not None and len(sides) == int(structure.paired) else None


def right_of() -> Iterator[tuple[str, str]]:
    """Yield pairs of label names, the first on the patient's right of the second."""
    for structure in structures():
        yield from ((structure.name, other) for other in structure.right_of)
        yield from ((other, structure.name) for other in structure.left_of)
        if structure.paired:
            yield f"right {structure.name}", f"left {structure.name}"


def above() -> Iterator[tuple[str, str]]:
    """Yield pairs of label names, the centre of the first nearer to the head."""
    for structure in structures():
        for other in structure.above:
            lower = _STRUCTURES.get(other)
            if structure.paired and lower is not None and lower.paired:
                yield from ((f"{side} {structure.name}", f"{side} {other}") for side in SIDES)
            else:
                yield structure.name, other


def larger() -> Iterator[tuple[str, str]]:
    """Yield pairs of label names, the first with the larger volume."""
    return ((structure.name, other) for structure in structures() for other in structure.larger_than)


def one_sided(names: Mapping[int, str]) -> bool:
    """Whether labels tell right from left: without at least two such structures a body may be its own mirror image."""
    found = {structure.name for name in names.values() if (structure := structure_of(name)) and structure.one_sided}
    return len(found) >= 2


def pairs(names: Mapping[int, str]) -> tuple[tuple[int, ...], ...]:
    """Ids of labels that are the two sides of one structure, and so the same tissue.

    Examples:
        >>> pairs({1: "liver", 2: "right kidney", 3: "left kidney"})
        ((2, 3),)
    """
    sided = sorted((*structure_key(name), index) for index, name in names.items() if structure_key(name)[1])
    groups = (tuple(sorted(item[-1] for item in group)) for _, group in groupby(sided, key=lambda item: item[0]))
    return tuple(sorted(group for group in groups if len(group) > 1))
