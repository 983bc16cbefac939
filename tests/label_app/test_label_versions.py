"""Versions of labels on the disk: what is kept, what goes, and what a kill, a full disk or other programs leave."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.label_app.datastore import StudiesDatastore
from monai_semgan.label_app.label_versions import LabelVersions

pytestmark = pytest.mark.label

Save = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> StudiesDatastore:
    """A datastore with one image."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "scan.nii.gz").write_bytes(b"image")
    return StudiesDatastore(str(tmp_path / "studies"), auto_reload=False)


@pytest.fixture
def save(store: StudiesDatastore, tmp_path: Path) -> Save:
    """Save a label of some text."""

    def save_text(text: str, ending: str = ".nii.gz", **info: Any) -> None:
        file = tmp_path / f"new{ending}"
        file.write_text(text)
        store.save_label("scan", str(file), "final", info)

    return save_text


def versions(store: StudiesDatastore) -> list[tuple[int, str | None, str]]:
    """Number, annotator and content of every version, the present one first."""
    present = store.present_label("scan", "final")
    found = [present.facts] if present else []
    told = []
    for facts in [*found, *store.earlier_labels("scan", "final")]:
        opened = store.open_version("scan", "final", facts.version)
        assert opened is not None
        with opened[0] as stream:
            told.append((facts.version, facts.annotator, stream.read().decode()))
    return told


def files(tmp_path: Path) -> dict[str, bytes]:
    """What lies in the folder, without locks."""
    found = (path for path in (tmp_path / "studies").rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in found}


def test_versions_are_there_after_a_restart_whatever_their_formats(store: StudiesDatastore, save: Save) -> None:
    for number, ending in enumerate((".nii.gz", ".nrrd", ".seg.nrrd", ".mha")):
        save(f"label {number}", ending, annotator=f"Reader {number}")
    again = StudiesDatastore(store._datastore_path, auto_reload=False)
    assert versions(again) == [(n + 1, f"Reader {n}", f"label {n}") for n in (3, 2, 1, 0)]
    assert again.list_images() == ["scan"] and set(again.get_labels_by_image_id("scan")) == {"final"}


def test_the_oldest_versions_go_when_there_are_too_many(store: StudiesDatastore, save: Save) -> None:
    store._kept_versions = LabelVersions(Path(store._datastore.label_path(None)), max_versions=3)
    for number in range(8):
        save(f"label {number}")
    assert [one[0] for one in versions(store)] == [8, 7, 6, 5]
    folder = Path(store._datastore.label_path(None)) / ".versions" / "final" / "scan"
    assert len(list(folder.iterdir())) == 3 * 2 + 1, "their facts go with them"


def test_the_label_that_takes_most_gives_way_when_all_take_too_much(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    for name in ("much", "little"):
        (tmp_path / "studies" / f"{name}.nii.gz").write_bytes(b"image")
    store = StudiesDatastore(str(tmp_path / "studies"), auto_reload=False)
    store._kept_versions = LabelVersions(Path(store._datastore.label_path(None)), max_bytes=1000)
    for number in range(12):
        for name, size in (("much", 200), ("little", 10)):
            if name == "much" or number < 3:
                (tmp_path / "new.nii.gz").write_text(f"{number:{size}}")
                store.save_label(name, str(tmp_path / "new.nii.gz"), "final", {})
    assert [one.version for one in store.earlier_labels("little", "final")] == [2, 1]
    assert [one.version for one in store.earlier_labels("much", "final")] == [11, 10, 9, 8]


def test_facts_of_a_label_that_never_came_count_for_nothing(store: StudiesDatastore, save: Save) -> None:
    save("first", annotator="A")
    before = store.present_label("scan", "final")
    assert before is not None
    notes = Path(store._datastore.label_path(None)) / ".versions" / "final" / "scan" / "000002.json"
    content = json.loads(notes.with_name("000001.json").read_text())
    notes.write_text(json.dumps({**content, "version": 2, "etag": "f" * 32, "annotator": "killed"}))
    assert versions(store) == [(1, "A", "first")]
    save("second", annotator="B")
    assert versions(store) == [(2, "B", "second"), (1, "A", "first")]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1}', b"[" * 100_000,
        b'{"version": "1", "etag": 7, "saved": null}',
        b'{"version": 1, "etag": "x", "saved": "", "ext": "/../../x"}',
        b'{"version": 1, "etag": "x", "saved": "", "review": {"verdict": "perhaps"}}',
    ],
)  # fmt: skip
def test_damaged_facts_cost_no_label(content: bytes, store: StudiesDatastore, save: Save) -> None:
    save("first", annotator="A")
    save("second", annotator="B")
    folder = Path(store._datastore.label_path(None)) / ".versions" / "final" / "scan"
    (folder / "000002.json").write_bytes(content)
    (folder / "notes.json").write_bytes(content)
    assert [one[2] for one in versions(store)] == ["second", "first"]
    save("third", annotator="C")
    assert [one[1:] for one in versions(store)] == [("C", "third"), ("B", "second"), ("A", "first")]


def test_a_label_that_another_program_has_changed_is_kept_without_a_name(store: StudiesDatastore, save: Save) -> None:
    save("first", annotator="A")
    label = Path(store.get_label_uri("scan", "final"))
    label.write_text("by hand")
    os.utime(label, (time.time() + 60,) * 2)
    present = store.present_label("scan", "final")
    assert present is not None and present.facts.annotator is None
    save("third", annotator="C")
    assert [one[1:] for one in versions(store)] == [("C", "third"), (None, "by hand")]


def test_labels_of_an_earlier_version_of_the_server_tell_who_made_them(store: StudiesDatastore, save: Save) -> None:
    import shutil

    save("first", annotator="A", edited=True)
    shutil.rmtree(Path(store._datastore.label_path(None)) / ".versions")
    present = store.present_label("scan", "final")
    assert present is not None and present.facts.annotator == "A" and present.facts.edited is True
    save("second", annotator="B")
    assert versions(store) == [(2, "B", "second"), (1, "A", "first")]


def test_maps_of_an_earlier_version_of_the_server_are_the_model_s_and_make_way(
    store: StudiesDatastore, tmp_path: Path
) -> None:
    import shutil

    for text, info in (("old", {}), ("of a reader", {"user": "admin"})):
        (tmp_path / "map.nii.gz").write_text(text)
        store.save_label("scan", str(tmp_path / "map.nii.gz"), "semgan_uncertainty", info)
        shutil.rmtree(Path(store._datastore.label_path(None)) / ".versions")
        if info:
            with pytest.raises(SemganError, match="a reader's label"):
                store.check_model_may_save("scan", "semgan_uncertainty")
        else:
            store.check_model_may_save("scan", "semgan_uncertainty")


def test_saving_warns_of_damage_only_where_something_is_damaged(
    store: StudiesDatastore, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    save("first")
    shutil.rmtree(Path(store._datastore.label_path(None)) / ".versions")
    save("second")
    assert "damaged" not in caplog.text


def test_a_label_that_cannot_be_written_changes_nothing(
    store: StudiesDatastore, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("first", annotator="A")
    before = files(tmp_path)
    moved = os.replace

    def full(source: Any, target: Any) -> None:
        if "scan" in str(target) and ".versions" not in str(target):
            raise OSError(28, "No space left on device")
        moved(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SemganError, match="the disk is full"):
        save("second", annotator="B")
    monkeypatch.undo()
    assert versions(store) == [(1, "A", "first")]
    after = files(tmp_path)
    assert {name: after[name] for name in before if "datastore_v2" not in name} == {
        name: content for name, content in before.items() if "datastore_v2" not in name
    }
    assert not [name for name in after if ".part." in name or "000002" in name or name.endswith("000001.nii.gz")]


def test_versions_do_not_leave_the_folder_by_a_link(store: StudiesDatastore, save: Save, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (Path(store._datastore.label_path(None)) / ".versions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SemganError, match="link that leads elsewhere"):
        save("first")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_removing_an_image_keeps_what_readers_have_drawn(store: StudiesDatastore, save: Save) -> None:
    save("first", annotator="A")
    store.remove_image("scan")
    kept = list((Path(store._datastore.label_path(None)) / ".versions").rglob("*.nii.gz"))
    assert [path.read_text() for path in kept] == ["first"]


@pytest.mark.parametrize("info", [{"annotator": "\ud800"}, {"x": [[[]]] * 2**20}, {"annotator": "x" * 2**17}])
def test_what_cannot_be_noted_is_refused_and_changes_nothing(
    info: dict[str, Any], store: StudiesDatastore, save: Save, tmp_path: Path
) -> None:
    save("first", annotator="A")
    before = files(tmp_path)
    with pytest.raises(SemganError):
        save("second", **info)
    with pytest.raises(SemganError):
        store.update_label_info("scan", "final", info)
    assert files(tmp_path) == before
    assert StudiesDatastore(store._datastore_path, auto_reload=False).list_images() == ["scan"]


def test_tags_have_a_limit_and_those_that_are_there_stay_usable(
    store: StudiesDatastore, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_semgan.label_app import labels_datastore

    monkeypatch.setattr(labels_datastore, "MAX_TAGS", 4)
    save("first")
    for tag in ("original", "one", "two"):
        store.save_label("scan", str(tmp_path / "new.nii.gz"), tag, {})
    with pytest.raises(SemganError, match="use one of these tags"):
        store.save_label("scan", str(tmp_path / "new.nii.gz"), "one too many", {})
    save("second")
    assert len(store.get_labels_by_image_id("scan")) == 4
