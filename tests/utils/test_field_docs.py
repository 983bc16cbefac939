"""Every setting of training says what it means, where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from monai_semgan.cli.setting_list import setting_classes, settings_markdown, settings_text
from monai_semgan.utils.field_docs import FieldText, field_texts


@dataclass(frozen=True)
class Base:
    """A base.

    Args:
        pace: how fast,
            in mm/s.
    """

    pace: float = 2.0


@dataclass(frozen=True)
class Chosen(Base):
    """A class with a base.

    Args:
        name: of it.
        parts: what belongs: all of it.

    Raises:
        ValueError: never: this is no setting.
    """

    name: str = ""
    parts: list[int] = field(default_factory=lambda: [1])


def test_fields_of_the_base_are_told_with_default_and_meaning() -> None:
    assert field_texts(Chosen) == [
        FieldText("pace", "2.0", "how fast, in mm/s."),
        FieldText("name", "''", "of it."),
        FieldText("parts", "[1]", "what belongs: all of it."),
    ]


@pytest.mark.parametrize("name", sorted(setting_classes()))
def test_every_setting_of_training_is_described(name: str) -> None:
    assert [one.name for one in field_texts(setting_classes()[name]) if len(one.meaning) < 5] == []


def test_the_terminal_and_the_page_tell_the_same_settings() -> None:
    text, page = settings_text(100), settings_markdown()
    for name, kind in setting_classes().items():
        assert f"## {name}" in page and kind.__name__ in text
        for one in field_texts(kind):
            assert f"| `{one.name}` | `{one.default}` |" in page and f"  {one.name} = {one.default}\n" in text + "\n"
    assert max(map(len, text.splitlines())) <= 140
