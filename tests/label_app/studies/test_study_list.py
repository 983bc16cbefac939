"""The list of images and labels: whatever happens to its file, the server starts and the others keep what was noted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.label_app.datastore import StudiesDatastore

pytestmark = pytest.mark.label

LIST = "datastore_v2.json"
IMAGES = ("a", "b", "c")
Change = Callable[[dict[str, Any]], None]


def _open(folder: Path) -> StudiesDatastore:
    return StudiesDatastore(str(folder), auto_reload=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with notes, of which two have labels by somebody."""
    studies = tmp_path / "studies"
    studies.mkdir()
    (tmp_path / "label.nii.gz").write_bytes(b"label")
    for image in IMAGES:
        (studies / f"{image}.nii.gz").write_bytes(image.encode())
    store = _open(studies)
    for image in IMAGES:
        store.update_image_info(image, {"score": image.upper()})
    for image in IMAGES[:2]:
        store.save_label(image, str(tmp_path / "label.nii.gz"), "final", {"annotator": "Ann"})
    return studies


def _noted(store: StudiesDatastore) -> dict[str, tuple[str | None, str | None]]:
    """Score and annotator of every image."""
    return {
        image: (store.get_image_info(image).get("score"), store.get_label_info(image, "final").get("annotator"))
        for image in sorted(store.list_images())
    }


WHOLE = {"a": ("A", "Ann"), "b": ("B", "Ann"), "c": ("C", None)}


def _edit(folder: Path, change: Change) -> None:
    content = json.loads((folder / LIST).read_text())
    change(content["objects"])
    (folder / LIST).write_text(json.dumps(content, indent=2))


def _cut(text: str) -> str:
    return text[: int(len(text) * 0.7)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: '{"objects": ',
        lambda text: "[]",
        lambda text: "null",
        lambda text: '{"objects": []}',
        lambda text: "\0" * len(text),
        _cut,
        lambda text: text.replace('"score": "B"', '"score": B'),
        lambda text: text.replace('"score": "B"', '"score": ' + "[" * 5000 + "]" * 5000),
    ],
    ids=["empty", "begun", "a list", "null", "no objects", "zeros", "cut off", "one entry no JSON", "one entry deep"],
)
def test_a_damaged_list_is_mended_and_put_aside(damage: Callable[[str], str], folder: Path) -> None:
    text = (folder / LIST).read_text()
    (folder / LIST).write_text(damage(text))
    store = _open(folder)
    noted = _noted(store)
    assert set(noted) == set(WHOLE)
    assert {image: noted[image] for image in ("a", "c")} == {image: WHOLE[image] for image in ("a", "c")}
    assert noted["b"][0] == "B" and store.get_label_uri("b", "final")
    assert (folder / f"{LIST}.damaged").read_text() == damage(text)
    json.loads((folder / LIST).read_text())
    assert _noted(_open(folder)) == noted


def test_a_damaged_list_brings_back_nothing_that_was_removed(folder: Path) -> None:
    store = _open(folder)
    store.remove_image("a")
    (folder / LIST).write_text(_cut((folder / LIST).read_text()))
    assert sorted(_open(folder).list_images()) == ["b", "c"]


def test_a_list_that_was_moved_away_comes_back_from_its_backup(folder: Path) -> None:
    (folder / LIST).unlink()
    assert _noted(_open(folder)) == {**WHOLE, "b": ("B", None)}, "but for the last change"


def test_without_list_and_backup_images_and_labels_are_found_from_their_files(folder: Path) -> None:
    for path in folder.glob(f"{LIST}*"):
        path.write_bytes(b"\xff{")
    store = _open(folder)
    assert sorted(store.list_images()) == ["a", "b", "c"] and sorted(store.get_labeled_images()) == ["a", "b"]


def _set(image: str, *path: str) -> Callable[[Any], Change]:
    """Make a change of the entry of an image that puts a value at a path in it."""

    def with_value(value: Any) -> Change:
        def change(objects: dict[str, Any]) -> None:
            place: Any = objects
            for name in (image, *path)[:-1]:
                place = place[name]
            place[(image, *path)[-1]] = value

        return change

    return with_value


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "change",
    [
        _set("b", "image", "info", "note")("\ud800"),
        _set("b", "image", "info", "note")(_deep(300)),
        _set("b", "image", "info", "note")("x" * 40_000_000),
        _set("b", "image", "info")("text"),
        _set("b", "image")([]),
        _set("b", "image", "ext")(5),
        _set("b", "image", "source")("\ud800"),
        _set("b", "labels", "final", "info")({"\ud83d": 1}),
        _set("b", "labels", "final")(None),
        _set("b", "labels")("none"),
        _set("b", "labels", "../../x")({"ext": ".nii.gz", "info": {}}),
        _set("b")(None),
        _set("\ud800")({"image": {"ext": ".nii.gz", "info": {}}, "labels": {}}),
        _set("two\nlines")({"image": {"ext": ".nii.gz", "info": {}}, "labels": {}}),
        _set("../../etc/passwd")({"image": {"ext": "", "info": {}}, "labels": {}}),
        _set("elsewhere")({"image": {"ext": "", "info": {}, "source": "../outside.nii.gz"}, "labels": {}}),
        _set("elsewhere")({"image": {"ext": "", "info": {}, "source": "/etc/passwd", "uploaded": True}, "labels": {}}),
    ],
)
def test_a_damaged_entry_costs_that_entry(change: Change, folder: Path) -> None:
    (folder.parent / "outside.nii.gz").write_bytes(b"outside")
    _edit(folder, change)
    store = _open(folder)
    noted = _noted(store)
    assert set(noted) - {"elsewhere"} == set(WHOLE)
    assert not store.get_image_uri("elsewhere")
    assert {image: noted[image] for image in ("a", "c")} == {image: WHOLE[image] for image in ("a", "c")}
    assert store.get_image_uri("b") and store.get_label_uri("b", "final")
    json.dumps(store.json(), ensure_ascii=False).encode()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(("", "image", "labels", "image.info", "image.ext", "labels.final")), value=ANY_JSON)
def test_no_content_of_an_entry_keeps_the_server_from_starting(place: str, value: Any, folder: Path) -> None:
    before = (folder / LIST).read_bytes()
    try:
        _edit(folder, _set("b", *filter(None, place.split(".")))(value))
        noted = _noted(_open(folder))
        assert set(noted) == set(WHOLE)
        assert noted["a"] == WHOLE["a"] and noted["c"] == WHOLE["c"]
    finally:
        (folder / LIST).write_bytes(before)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(info=st.dictionaries(st.text(st.characters(), max_size=6), ANY_JSON, max_size=3))
def test_whatever_is_noted_is_refused_or_still_there_after_a_restart(info: dict[str, Any], folder: Path) -> None:
    store = _open(folder)
    kept = [name for name in info if name not in ("score", "name", "ts")]
    try:
        store.update_image_info("b", {name: info[name] for name in kept})
        taken = True
    except SemganError:
        taken = False
    again = _open(folder)
    assert set(again.list_images()) == set(WHOLE) and again.get_image_info("b")["score"] == "B"
    assert not taken or set(kept) <= set(again.get_image_info("b"))


def test_images_that_are_away_for_a_while_keep_what_was_noted_of_them(folder: Path) -> None:
    away = folder.parent / "away"
    away.mkdir()
    for path in folder.glob("*.nii.gz"):
        os.rename(path, away / path.name)
    assert _open(folder).list_images() == []
    for path in away.iterdir():
        os.rename(path, folder / path.name)
    assert _noted(_open(folder)) == WHOLE


def test_an_image_that_is_stored_in_another_format_keeps_its_labels_and_notes(folder: Path) -> None:
    os.rename(folder / "a.nii.gz", folder / "a.nrrd")
    store = _open(folder)
    assert _noted(store) == WHOLE and store.get_image_uri("a").endswith("a.nrrd")


def test_nobody_is_given_the_labels_of_an_image_that_is_away(folder: Path) -> None:
    (folder / "a.nii.gz").rename(folder.parent / "a.nii.gz")
    store = _open(folder)
    with pytest.raises(SemganError, match="labels belong"):
        store.add_image("a", str(folder / "b.nii.gz"), {})


def test_a_list_of_an_older_version_is_read_as_it_is(folder: Path) -> None:
    def older(objects: dict[str, Any]) -> None:
        for entry in objects.values():
            for name in ("source", "series", "uploaded"):
                entry["image"].pop(name)

    _edit(folder, older)
    assert _noted(_open(folder)) == WHOLE
