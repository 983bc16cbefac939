"""Settings are checked in one place: mistakes are named, old names still work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.settings import check_ranges, checked, make_settings


@checked
@dataclass(frozen=True)
class Settings:
    steps: int = 10
    rate: float = 0.1
    loss: Literal["hinge", "logistic"] = "hinge"
    sizes: Sequence[int] = (1, 2)
    window: tuple[float, float] | None = None
    channels: Mapping[int, int] | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, counts=("steps",), positive=("rate",))


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"stepz": 3}, "unknown setting 'stepz'; known are channels, loss, quiet, rate, sizes, steps, window"),
    ({"steps": 1.5}, "the setting steps cannot be 1.5; give a whole number"),
    ({"steps": True}, "the setting steps cannot be True; give a whole number"),
    ({"steps": 0}, "the setting steps cannot be 0; give a whole number of at least 1"),
    ({"rate": "high"}, "the setting rate cannot be 'high'; give a number"),
    ({"rate": float("nan")}, "the setting rate cannot be nan; give a number"),
    ({"rate": -1.0}, "the setting rate cannot be -1.0; give a positive number"),
    ({"loss": "l2"}, "the setting loss cannot be 'l2'; give hinge or logistic"),
    ({"sizes": "12"}, "the setting sizes cannot be '12'; give a list of numbers"),
    ({"sizes": [1, None]}, "the setting sizes cannot be [1, None]; give a list of numbers"),
    ({"window": [1.0]}, "the setting window cannot be [1.0]; give 2 numbers or nothing"),
    ({"channels": [4]}, "the setting channels cannot be [4]; give names with their values or nothing"),
    ({"quiet": 1}, "the setting quiet cannot be 1; give true or false"),
]


@pytest.mark.parametrize(("values", "message"), MISTAKES)
def test_a_mistake_is_named_with_what_is_expected(values: dict[str, Any], message: str) -> None:
    for make in (lambda: Settings(**values), lambda: replace(Settings(), **values)):
        with pytest.raises(SemganError) as caught:
            make()
        assert str(caught.value) == message


def test_a_section_of_a_file_is_named_with_its_file() -> None:
    with pytest.raises(SemganError) as caught:
        make_settings(Settings, {"steps": "many"}, where="settings#", path="train.json")
    assert str(caught.value) == "train.json: the setting settings#steps cannot be 'many'; give a whole number"


def test_what_json_gives_is_taken() -> None:
    made = make_settings(Settings, {"rate": 1, "sizes": [4, 8], "window": [0, 1.5], "channels": {"4": 8}})
    assert made == Settings(rate=1, sizes=[4, 8], window=[0, 1.5], channels={"4": 8})  # type: ignore[arg-type,dict-item]


def test_a_renamed_field_works_under_its_old_name_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match="frame is called field_of_view now"):
        old = Preprocessing(frame="image")  # type: ignore[call-arg]
    assert old == Preprocessing(field_of_view="image")
    with pytest.warns(FutureWarning, match="field_of_view"):
        assert old.frame == "image"  # type: ignore[attr-defined]
    with pytest.raises(SemganError, match="the same setting"):
        Preprocessing(frame="image", field_of_view="body")  # type: ignore[call-arg]
