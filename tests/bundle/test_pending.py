"""A change of several files of a bundle is there as a whole or not at all, whatever moment a kill comes at."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.bundle.labels import bundle_folder
from monai_semgan.bundle.load import load_bundle
from monai_semgan.bundle.pending import PENDING, finish_pending, put_in_place

FILES = ("configs/a.json", "configs/b.json", "models/c.pt")


class Killed(BaseException):
    """What a kill is to the code: nothing after it runs."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with old files, and a draft with new ones."""
    for text, root in (("old", tmp_path / "bundle"), ("new", tmp_path / "bundle" / "draft")):
        for name in FILES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return tmp_path / "bundle"


def contents(folder: Path) -> set[str]:
    """What the files say."""
    return {(folder / name).read_text() for name in FILES}


@pytest.mark.parametrize("moves", range(len(FILES) + 1))
def test_a_kill_after_any_move_leaves_the_new_bundle_to_whoever_opens_it(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    done, replace = [], os.replace

    def replace_until_killed(source: Path, target: Path) -> None:
        if len(done) == moves:
            raise Killed
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_until_killed)
        if moves < len(FILES):
            with pytest.raises(Killed):
                put_in_place(bundle / "draft", bundle)
        else:
            put_in_place(bundle / "draft", bundle)
    assert contents(bundle_folder(bundle)) == {"new"}
    assert not (bundle / PENDING).exists() and not (bundle / "draft").exists()


def test_a_kill_before_leaves_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(Killed):
            put_in_place(bundle / "draft", bundle)
    assert contents(bundle_folder(bundle)) == {"old"} and not finish_pending(bundle)


def test_a_fill_that_is_killed_between_two_files_is_whole_when_the_bundle_is_next_used(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_bundle, folder)
    before = (folder / "configs" / "metadata.json").read_text()
    replace = os.replace

    def replace_once(source: Path, target: Path) -> None:
        if PENDING in Path(source).parts and "models" in Path(source).parts:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("monai_semgan.bundle.pending.os.replace", replace_once)
        with pytest.raises(Killed):
            fill_bundle(folder, [tiny_bundle / "models" / "model.pt"])
    assert (folder / PENDING).is_dir()
    assert load_bundle(folder).labels
    assert (folder / "configs" / "metadata.json").read_text() != before
    assert not (folder / PENDING).exists()
