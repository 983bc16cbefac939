"""Versions of a model: the one in use changes when somebody says so, and at no other moment."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import METADATA, WEIGHTS
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.model_versions import VersionRecord, VersionStore
from monai_semgan.errors import SemganError

AORTA = VersionRecord(0, "structure", ("aorta",), ("case 1", "case 2"), ("case 3",), {"aorta": 0.71, "liver": 0.93})


class Killed(BaseException):
    """What a kill is to the code: nothing after it runs."""


def small_bundle(folder: Path, weights: str) -> Path:
    """A folder that looks like a bundle; nothing here needs a network."""
    for name in ("configs/inference.json", "configs/metadata.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "models").mkdir()
    (folder / WEIGHTS).write_text(weights)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "versions", small_bundle(tmp_path / "shipped", "as shipped"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return small_bundle(tmp_path / "made", "with aorta")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_that_nobody_has_written_to_holds_the_shipped_model_and_makes_no_folder(store: VersionStore) -> None:
    (only,) = store.versions()
    assert (only.number, only.kind, only.folder, only.parent) == (0, "shipped", store.shipped, None)
    assert store.current() == only
    assert not store.root.exists()


def test_a_new_version_is_told_whole_and_comes_into_use_when_it_is_chosen(store: VersionStore, made: Path) -> None:
    added = store.add(made, AORTA)
    assert store.current().number == 0
    assert store.use(1) == added == store.current() == store.versions()[1]
    assert (added.parent, added.structures, added.held_out) == (0, ("aorta",), ("case 3",))
    assert added.figures == {"aorta": 0.71, "liver": 0.93}
    assert added.sha256 == weights_digest(made)
    assert files_of(added.folder).items() >= files_of(made).items()


def test_the_shipped_model_is_in_use_again_after_a_roll_back_and_never_changes(store: VersionStore, made: Path) -> None:
    before = files_of(store.shipped)
    store.add(made, AORTA)
    store.use(1)
    store.use(0)
    store.prune(keep=0)
    assert store.current().folder == store.shipped
    assert files_of(store.shipped) == before


def test_a_version_can_be_loaded_as_the_bundle_that_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "versions", tiny_bundle)
    store.add(tiny_bundle, AORTA)
    bundle = load_bundle(store.use(1).folder)
    assert bundle.weights_sha256 == store.current().sha256
    assert bundle.labels


@pytest.mark.parametrize("number", [-1, 2, 7])
def test_an_unknown_number_is_refused_with_those_that_there_are(store: VersionStore, made: Path, number: int) -> None:
    store.add(made, AORTA)
    with pytest.raises(SemganError, match=rf"no version {number}; there are 0, 1"):
        store.use(number)
    with pytest.raises(SemganError, match=rf"no version {number}"):
        store.add(made, VersionRecord(parent=number))
    assert store.current().number == 0


def test_a_number_that_is_refused_leaves_no_folder(store: VersionStore) -> None:
    with pytest.raises(SemganError, match="no version 1"):
        store.use(1)
    assert not store.root.exists()


@pytest.mark.parametrize("missing", ["configs/inference.json", "configs/metadata.json", "models/model.pt"])
def test_a_folder_that_is_no_complete_bundle_becomes_no_version(store: VersionStore, made: Path, missing: str) -> None:
    (made / missing).unlink()
    with pytest.raises(SemganError, match=missing):
        store.add(made, AORTA)
    assert len(store.versions()) == 1


def test_versions_beside_each_other_in_a_bundle_are_refused(store: VersionStore, made: Path) -> None:
    inside = VersionStore(store.shipped / "versions", store.shipped)
    before = files_of(store.shipped)
    with pytest.raises(SemganError, match="is a model bundle"):
        inside.add(made, AORTA)
    assert files_of(store.shipped) == before


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"model\.pt is missing"),
        (lambda folder: (folder / WEIGHTS).write_text("cut"), r"model\.pt has 3 bytes, not 10"),
        (lambda folder: (folder / METADATA).unlink(), r"metadata\.json is missing"),
        (lambda folder: (folder / "version.json").write_text("{"), r"version\.json is broken"),
        (lambda folder: (folder / "version.json").write_text("[]"), r"version\.json is broken"),
        (lambda folder: (folder / "version.json").unlink(), r"version\.json is missing"),
        (lambda folder: (folder / "version.json").write_text('{"schema": 99}'), r"newer monai_semgan"),
    ],
)
def test_a_damaged_version_is_told_in_one_line_and_the_shipped_one_can_be_used(
    store: VersionStore, made: Path, damage: object, told: str
) -> None:
    store.add(made, AORTA)
    store.use(1)
    damage(store.root / "1")  # type: ignore[operator]
    with pytest.raises(SemganError, match=rf"version 1 is damaged: .*{told}.*0 is the model as shipped") as error:
        store.current()
    assert "\n" not in str(error.value)
    assert store.versions()[1].problem
    assert store.use(0) == store.current()


def test_weights_of_the_same_size_but_other_content_are_not_put_into_use(store: VersionStore, made: Path) -> None:
    store.add(made, AORTA)
    (store.root / "1" / WEIGHTS).write_text("with A0RTA")
    with pytest.raises(SemganError, match="not what was stored"):
        store.use(1)
    assert store.current().number == 0


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"current": "1"}', '{"current": -1}'])
def test_a_damaged_choice_is_told_and_can_be_made_again(store: VersionStore, made: Path, content: str) -> None:
    store.add(made, AORTA)
    (store.root / "current.json").write_text(content)
    with pytest.raises(SemganError, match="does not tell which version is in use; choose one"):
        store.current()
    assert store.use(1) == store.current()


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.rename", "shutil.copyfile"])
def test_a_kill_while_a_version_is_made_leaves_none_and_the_next_one_takes_its_number(
    store: VersionStore, made: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(call, killed)
        patch.setattr("monai_semgan.bundle.durable_folders.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            store.add(made, AORTA)
    assert [one.number for one in store.versions()] == [0]
    assert [path.name for path in store.root.glob(".part.*")] == [".part.1"]
    assert store.add(made, AORTA).number == 1
    assert not list(store.root.glob(".part.*"))


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_kill_while_a_version_is_chosen_leaves_the_one_before_in_use(
    store: VersionStore, made: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.add(made, AORTA)
    store.use(1)
    store.add(made, VersionRecord(parent=1, kind="tune"))

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(call, killed)
        with pytest.raises(Killed):
            store.use(2)
    assert store.current().number == 1


def test_a_full_disk_is_told_and_leaves_the_version_in_use(
    store: VersionStore, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(made, AORTA)
    store.use(1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        for change in (lambda: store.add(made, AORTA), lambda: store.use(0)):
            with pytest.raises(SemganError, match="the disk is full"):
                change()
    assert store.current().number == 1
    assert [one.number for one in store.versions()] == [0, 1]
    assert not list(store.root.glob(".part.*"))


def test_pruning_keeps_the_current_version_those_in_use_and_the_nearest_ancestors(
    store: VersionStore, made: Path
) -> None:
    for parent in (0, 1, 2, 0, 0, 0):  # 3 was made from 2 and 1; 4, 5 and 6 from the shipped one
        store.add(made, VersionRecord(parent=parent))
    store.use(3)
    gone = store.prune(keep=4, in_use=[4])
    assert [one.number for one in gone] == [5, 6]
    assert [one.number for one in store.versions()] == [0, 1, 2, 3, 4]
    assert [one.number for one in store.prune(keep=0, in_use=[0, 4, 9])] == [1, 2]
    assert store.current().number == 3
    assert not list(store.root.glob(".removed.*"))


def test_the_newest_stay_where_nothing_else_asks_for_old_ones(store: VersionStore, made: Path) -> None:
    for _ in range(4):
        store.add(made, AORTA)
    store.prune(keep=2)
    assert [one.number for one in store.versions()] == [0, 3, 4]
    assert store.add(made, AORTA).number == 5


def _add_three(root: Path, shipped: Path, made: Path) -> None:
    for _ in range(3):
        VersionStore(root, shipped).add(made, AORTA)


def test_several_processes_that_add_at_once_get_numbers_of_their_own(store: VersionStore, made: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_three, args=(store.root, store.shipped, made)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [one.number for one in store.versions()] == list(range(7))
    assert not any(one.problem for one in store.versions())


def test_figures_that_are_no_numbers_are_left_out_when_read_again(store: VersionStore, made: Path) -> None:
    store.add(made, VersionRecord(figures={"aorta": float("nan"), "liver": 0.9}))
    assert store.versions()[1].figures == {"liver": 0.9}


def test_what_lies_beside_the_versions_is_none(store: VersionStore, made: Path) -> None:
    store.add(made, AORTA)
    for name in ("0", "01", "notes", "-1"):
        (store.root / name).mkdir()
    (store.root / "5").write_text("")
    assert [one.number for one in store.versions()] == [0, 1]


def test_a_version_made_from_another_has_its_own_facts(store: VersionStore, made: Path, tmp_path: Path) -> None:
    store.add(made, AORTA)
    again = tmp_path / "again"
    shutil.copytree(store.root / "1", again)
    (again / WEIGHTS).write_text("tuned")
    store.add(again, VersionRecord(1, "tune", ("liver",)))
    assert json.loads((store.root / "2" / "version.json").read_text())["structures"] == ["liver"]
    assert store.use(2).kind == "tune"
