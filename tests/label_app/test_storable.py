"""What the list of images and labels can hold comes through; what would spoil it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monailabel.datastore.local import LocalDatastoreModel

from monai_semgan.errors import SemganError
from monai_semgan.label_app.storable import MAX_DEPTH, MAX_SIZE, MAX_TEXT, storable
from monai_semgan.utils.json_text import json_text

pytestmark = pytest.mark.label

ANY_TEXT = st.text(st.characters(), max_size=8)  # surrogates among them
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _nested(depth: int, inner: Any = 1) -> Any:
    for number in range(depth):
        inner = [inner] if number % 2 else {"a": inner}
    return inner


def _survives(info: dict[str, Any]) -> None:
    """The list with this info can be written in UTF-8 and read again as MONAI Label does, and answered."""
    objects = {"scan": {"image": {"ext": ".nii", "info": info}, "labels": {"final": {"ext": ".nii", "info": info}}}}
    text = json_text({"name": "n", "description": "d", "objects": objects}, indent=2, default=str)
    read = LocalDatastoreModel.model_validate_json(text.encode())
    json.dumps(read.model_dump(), ensure_ascii=False, allow_nan=False).encode()


@given(st.dictionaries(ANY_TEXT, ANY_JSON, max_size=4))
def test_what_is_accepted_can_be_written_read_and_answered(info: dict[str, Any]) -> None:
    try:
        storable(info)
    except SemganError:
        return
    _survives(info)


@pytest.mark.parametrize(
    "info",
    [
        {"a": _nested(MAX_DEPTH - 1)},
        {"a": "é患 😀\x00\n" * 1000},
        {"a": "x" * MAX_TEXT},
        {"a": [0.5] * 50_000},
        {"a": 10**300, "b": -1, "c": 1e308, "d": float("nan")},
        {str(number): None for number in range(1000)},
        {},
    ],
    ids=["deep", "characters", "long", "a map's slices", "numbers", "many keys", "nothing"],
)
def test_what_people_note_is_accepted(info: dict[str, Any]) -> None:
    assert storable(info) is info
    _survives(info)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\ud800", "half a character"),
        ("\udfff😀", "half a character"),
        (["fine", {"deep": ["\udc80"]}], "half a character"),
        ({"\ud83d": 1}, "half a character"),
        (_nested(MAX_DEPTH), "nested"),
        (_nested(300), "nested"),
        (_nested(100_000), "nested"),
        ("x" * (MAX_TEXT + 1), "characters"),
        ({"x" * (MAX_TEXT + 1): 1}, "characters"),
        (["x" * 1000] * (MAX_SIZE // 1000), "larger than 1 MB"),
        ([0] * MAX_SIZE, "larger than 1 MB"),
        ([[] for _ in range(MAX_SIZE)], "larger than 1 MB"),
        (10**4000, "digits"),
        ({(1, 2): 3}, "key"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 and value.isascii() else None,
)
def test_what_would_spoil_the_list_is_refused_with_the_field_and_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(SemganError, match=f"^params .*{reason}"):
        storable({"note": value}, "params")
