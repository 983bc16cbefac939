"""The registry of structures: one entry reaches label files, checks of the anatomy and the augmentation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import (
    Code,
    Segments,
    Structure,
    above,
    adult_ml,
    find_organ,
    forget_structure,
    natural_pieces,
    one_sided,
    pairs,
    register_structure,
    right_of,
    speck_ml,
    structures,
)
from monai_semgan.quality.anatomy import check_anatomy
from monai_semgan.training.augmentation.contrast import ContrastRandomisation
from tests.phantoms import STRUCTURES

ABDOMEN = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


@pytest.fixture
def parotid() -> Iterator[Structure]:
    """A structure that this program adds."""
    code = Code("45289007", "Parotid gland")
    added = Structure("parotid gland", code, (10, 200, 30), ("parotid",), paired=True, adult_ml=(5.0, 60.0))
    yield register_structure(added)
    forget_structure("parotid gland")


@pytest.mark.usefixtures("parotid")
def test_a_structure_from_outside_is_coded_coloured_and_checked_by_its_own_entry(tmp_path: Path) -> None:
    label = np.zeros((20, 20, 20), np.uint8)
    label[2:8, 5:15, 5:15], label[12:14, 5:15, 5:15] = 1, 2
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    names = {1: "right parotid", 2: "left parotid"}
    path = write_label(label, Volume(label, affine), tmp_path / "a.seg.nrrd", Segments(names))
    header = path.read_bytes()[:4000].decode("latin-1")
    assert "45289007" in header and "0.039216 0.784314 0.117647" in header
    assert np.array_equal(read_volume(path, integer=True).array, label)
    found = {check.name: check for check in check_anatomy(label, affine, names).checks}
    assert found["left parotid volume"].ok is False and found["right parotid volume"].ok is False
    assert "adults have 5 to 60 ml" in found["left parotid volume"].finding


@pytest.mark.usefixtures("parotid")
def test_its_two_sides_are_told_apart_and_tied() -> None:
    assert ("right parotid gland", "left parotid gland") in set(right_of())
    assert pairs({5: "left parotid", 9: "Parotid_Gland right", 1: "liver"}) == ((5, 9),)
    assert natural_pieces("parotid glands") == 2


def test_a_taken_name_is_refused_with_the_remedy() -> None:
    for name, synonyms in (("liver", ()), ("hepar", ("esophagus",))):
        with pytest.raises(SemganError, match="known already; choose another name"):
            register_structure(Structure(name, Code("1", "One"), (0, 0, 0), synonyms))
    assert find_organ("hepar").category.meaning == "Tissue"


def test_what_is_known_of_the_abdomen() -> None:
    told = [pair for pair in right_of() if set(pair) <= set(ABDOMEN.values())]
    assert sorted(told) == [
        ("liver", "left kidney"),
        ("liver", "spleen"),
        ("right kidney", "left kidney"),
        ("right kidney", "spleen"),
    ]
    assert adult_ml("right kidney") == (50.0, 500.0) and adult_ml("kidney") is None and adult_ml("tumour") is None
    assert one_sided(ABDOMEN) and not one_sided({1: "liver", 2: "right kidney", 3: "left kidney"})


def test_pairs_follow_the_names_and_not_the_ids() -> None:
    assert pairs(ABDOMEN) == ((2, 3),)
    assert pairs({1: "left lung", 2: "heart", 3: "right lung"}) == ((1, 3),)
    assert pairs({1: "heart", 2: "myocardium", 3: "left ventricle"}) == ()


def test_only_pairs_share_a_contrast() -> None:
    image = torch.full((64, 1, 16, 16), -1.0)
    label = torch.zeros(64, 16, 16, dtype=torch.long)
    for index, rows in ((1, slice(0, 5)), (2, slice(5, 10)), (3, slice(10, 15))):
        label[:, rows], image[:, :, rows] = index, 0.1
    never = ("clean", "convolution", "bias", "noise", "blur", "resolution")
    chances = {f"{name}_probability": 0.0 for name in never} | {"curve_probability": 1.0, "class_probability": 1.0}

    def alike(tied: tuple[tuple[int, ...], ...], first: int, second: int) -> float:
        source = torch.Generator().manual_seed(3)
        seen = ContrastRandomisation(tied_labels=tied, **chances)(image, label, source)[:, 0]
        rows = {1: 2, 2: 7, 3: 12}
        return float((seen[:, rows[first], 8] - seen[:, rows[second], 8]).abs().lt(1e-4).float().mean())

    assert alike(((2, 3),), 2, 3) > alike((), 2, 3) + 0.3
    assert alike(pairs({1: "left lung", 2: "heart", 3: "right lung"}), 1, 3) > alike((), 1, 3) + 0.3


def distance(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """Distance of two colours, as eyes weigh red, green and blue."""
    return sum(weight * (a - b) ** 2 for weight, a, b in zip((2, 4, 3), first, second, strict=True)) ** 0.5


PAIRED = [structure.name for structure in structures() if structure.paired]


@pytest.mark.parametrize("name", PAIRED)
def test_right_and_left_are_told_apart_by_their_colours(name: str) -> None:
    right, left = (find_organ(f"{side} {name}").colour for side in ("right", "left"))
    assert distance(right, left) > 100
    assert find_organ(f"{name}_LEFT").colour == left and find_organ(name).colour == right


@given(st.tuples(*3 * [st.integers(0, 255)]))
@settings(max_examples=200, deadline=None)
def test_the_sides_of_structures_from_outside_are_told_apart_whatever_their_colour(
    colour: tuple[int, int, int],
) -> None:
    register_structure(Structure("flipper", Code("1", "Flipper"), colour, paired=True))
    try:
        left = find_organ("left flipper").colour
        assert distance(find_organ("right flipper").colour, left) > 80 and all(0 <= part <= 255 for part in left)
    finally:
        forget_structure("flipper")


def test_the_structures_of_the_abdomen_are_told_apart_by_their_colours() -> None:
    colours = [find_organ(name).colour for name in STRUCTURES.values()]
    assert min(distance(a, b) for a, b in itertools.combinations(colours, 2)) > 80


def test_unknown_labels_are_told_apart_by_their_colours() -> None:
    colours = [find_organ(f"thing {index}", index).colour for index in range(1, 19)]
    apart = [max(abs(a - b) for a, b in zip(one, two, strict=True)) for one, two in combinations(colours, 2)]
    assert min(apart) > 15


def test_the_structures_of_the_abdomen_have_codes_of_their_own() -> None:
    found = {name: find_organ(name) for name in STRUCTURES.values()}
    codes = {name: (organ.kind.value, organ.side and organ.side.meaning) for name, organ in found.items()}
    assert len(set(codes.values())) == len(STRUCTURES)
    assert codes["portal vein and splenic vein"] == ("110765007", None)
    assert codes["left adrenal gland"] == ("23451007", "Left")


@pytest.mark.parametrize("name", ["portal_vein_and_splenic_vein", "Portal and splenic vein", "adrenal_gland_left"])
def test_names_of_other_programs_are_known(name: str) -> None:
    assert find_organ(name).category.meaning == "Anatomical Structure"


def test_relations_of_paired_structures_hold_on_each_side() -> None:
    told = [pair for pair in above() if set(pair) <= set(STRUCTURES.values())]
    assert ("right adrenal gland", "right kidney") in told and ("left adrenal gland", "left kidney") in told
    assert not [pair for pair in told if {word.split()[0] for word in pair} == {"left", "right"}]
    assert ("liver", "right kidney") in told


def test_vessels_come_in_as_many_pieces_as_a_scan_shows_and_organs_in_one() -> None:
    pieces = {name: natural_pieces(name) for name in STRUCTURES.values()}
    assert pieces["aorta"] == 2 and pieces["portal vein and splenic vein"] is None and pieces["oesophagus"] is None
    assert {pieces[name] for name in ABDOMEN.values()} == {1}
    assert natural_pieces("both kidneys") == 2 and natural_pieces("both adrenals") == 2
    assert {speck_ml(name) for name in ABDOMEN.values()} == {1.0} and speck_ml("right adrenal") < 1
