"""Structures that a bundle alone knows: reading it makes their colours and codes known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.bundle.labels import read_metadata
from monai_semgan.bundle.own_structures import SECTION, describe
from monai_semgan.organs import find_organ, forget_structure, structure_of


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "own"
    shutil.copytree(tiny_bundle, folder)
    yield folder
    if structure_of("odd canal") is not None:
        forget_structure("odd canal")


def tell(folder: Path, section: Any) -> None:
    path = folder / "configs" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {SECTION: section}))


def test_colour_and_code_are_known_once_the_bundle_is_read(bundle: Path) -> None:
    tell(bundle, [describe("left odd canal", (9, 8, 7))])
    for _ in range(2):
        read_metadata(bundle)
    left = find_organ("left odd canal", 5)
    assert (left.kind.scheme, left.kind.meaning) == ("99SEMGAN", "Odd canal") and len(left.kind.value) <= 16
    assert left.side is not None and left.side.meaning == "Left"
    assert left.colour == (9, 8, 7) != find_organ("right odd canal", 5).colour


@pytest.mark.parametrize("sides", [("left", "right"), ("right", "left")])
def test_each_side_of_a_pair_has_the_colour_that_it_was_given(sides: tuple[str, str], bundle: Path) -> None:
    colours = {"left": (9, 8, 7), "right": (100, 20, 30)}
    tell(bundle, [describe(f"{side} odd canal", colours[side]) for side in sides])
    read_metadata(bundle)
    assert {side: find_organ(f"{side} odd canal", 5).colour for side in sides} == colours


def test_what_was_written_before_sides_were_told_is_read_as_it_was(bundle: Path) -> None:
    older = {key: value for key, value in describe("left odd canal", (9, 8, 7)).items() if key != "side"}
    tell(bundle, [older])
    read_metadata(bundle)
    assert find_organ("right odd canal", 5).colour == (9, 8, 7) != find_organ("left odd canal", 5).colour


def test_what_is_known_elsewhere_stays_what_it_is(bundle: Path) -> None:
    tell(bundle, [describe("aorta", (0, 0, 0))])
    read_metadata(bundle)
    assert find_organ("aorta").kind.value == "15825003" and find_organ("aorta").colour != (0, 0, 0)


@pytest.mark.parametrize("section", [None, 3, {"name": "odd canal"}, ["odd canal"], [{"name": "odd canal"}]])
def test_what_cannot_be_understood_is_left_out(section: Any, bundle: Path) -> None:
    tell(bundle, section)
    read_metadata(bundle)
    assert structure_of("odd canal") is None
