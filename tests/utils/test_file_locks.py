"""Locks between processes: one holds, others are told who does, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_semgan.errors import SemganError
from monai_semgan.utils.file_locks import release_and_remove, take_lock


def test_a_lock_that_another_holds_is_told_in_the_words_given(tmp_path: Path) -> None:
    held = take_lock(tmp_path / ".lock", "somebody works here", "wait", tmp_path)
    with pytest.raises(SemganError, match="somebody works here; wait") as caught:
        take_lock(tmp_path / ".lock", "somebody works here", "wait", tmp_path)
    assert caught.value.path == tmp_path
    held.release()
    take_lock(tmp_path / ".lock", "somebody works here", "wait", tmp_path).release()


def test_a_lock_that_is_released_and_removed_leaves_no_file(tmp_path: Path) -> None:
    release_and_remove(take_lock(tmp_path / ".lock", "held", "wait", tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_lock_in_a_folder_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SemganError, match="cannot be written"):
        take_lock(tmp_path / "file" / ".lock", "held", "wait", tmp_path)
