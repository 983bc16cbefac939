"""What can be learnt, and how mistakes in names, ids and colours are told."""

from __future__ import annotations

import pytest

from monai_semgan.bundle.own_structures import SECTION, describe, make_known
from monai_semgan.errors import SemganError
from monai_semgan.learning.new_structures import NewStructure, check_new, described, hardly_learnt
from monai_semgan.organs import forget_structure

KNOWN = {1: "liver", 2: "right kidney"}


@pytest.mark.parametrize("name", ["", "  ", "12", "Background", "a,b", "1:liver", "x" * 65, "line\nbreak\x00"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(SemganError):
        NewStructure(name)


def test_underscores_and_blanks_do_not_matter() -> None:
    assert NewStructure(" left_adrenal  mass ").name == "left adrenal mass"


@pytest.mark.parametrize("options", [{"label_id": 0}, {"colour": (0, 0, 256)}, {"colour": (1, 2)}])
def test_impossible_ids_and_colours_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SemganError):
        NewStructure("aorta", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("structures", "said"),
    [
        ([], "no structure is named"),
        ([NewStructure("Liver")], "knows 'liver' already; make it better with --tune"),
        ([NewStructure("kidney right")], "knows 'right kidney' already"),
        ([NewStructure("aorta"), NewStructure("Aorta")], "'Aorta' is named twice"),
        ([NewStructure("aorta", 5), NewStructure("stomach", 5)], "label id 5 is given to aorta and to stomach"),
    ],
)
def test_what_cannot_be_learnt_is_told(structures: list[NewStructure], said: str) -> None:
    with pytest.raises(SemganError, match=said):
        check_new(structures, KNOWN)


def test_the_other_side_of_a_pair_can_be_learnt() -> None:
    check_new([NewStructure("left kidney"), NewStructure("kidney")], KNOWN)


def test_a_known_structure_keeps_its_colour_and_an_unknown_one_gets_a_free_one() -> None:
    assert NewStructure("aorta").colour_at(5) == (188, 65, 28) and not NewStructure("aorta").own
    assert NewStructure("odd thing").own and len(NewStructure("odd thing").colour_at(5)) == 3
    assert NewStructure("odd thing", colour=(1, 2, 3)).colour_at(5) == (1, 2, 3)


def test_what_another_model_was_taught_is_described_in_this_one_too() -> None:
    """Other programs read the bundle without the other one."""
    make_known({SECTION: [describe("left odd canal", (9, 8, 7))]})
    try:
        (told,) = described([NewStructure("right odd canal", colour=(1, 2, 3)), NewStructure("aorta")], 5)
    finally:
        forget_structure("odd canal")
    assert (told["name"], told["side"], told["colour"]) == ("odd canal", "right", [1, 2, 3])


def test_structures_that_were_hardly_learnt_are_named() -> None:
    told = hardly_learnt({"aorta": 0.1, "liver": 0.9, "stomach": 0.0})
    assert told == "aorta and stomach were hardly learnt: give more time, or label more scans"
    assert hardly_learnt({"liver": 0.9}) == ""
