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
    assert find_organ("right odd canal", 5).colour == (9, 8, 7) != left.colour


def test_what_is_known_elsewhere_stays_what_it_is(bundle: Path) -> None:
    tell(bundle, [describe("aorta", (0, 0, 0))])
    read_metadata(bundle)
    assert find_organ("aorta").kind.value == "15825003" and find_organ("aorta").colour != (0, 0, 0)


@pytest.mark.parametrize("section", [None, 3, {"name": "odd canal"}, ["odd canal"], [{"name": "odd canal"}]])
def test_what_cannot_be_understood_is_left_out(section: Any, bundle: Path) -> None:
    tell(bundle, section)
    read_metadata(bundle)
    assert structure_of("odd canal") is None
