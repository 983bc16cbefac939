"""Files appear complete, whatever their names and texts hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import is_text, made_folder, utf8, write_together, write_utf8, written_aside


@given(st.text(st.characters() | st.characters(categories=["Cs"]), max_size=40))
def test_any_text_becomes_utf_8_and_text_that_is_text_stays_itself(text: str) -> None:
    shown = utf8(text).decode("utf-8")
    assert is_text(Path(shown)) and (shown == text or not is_text(Path(text)))


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert utf8("M\udcfcller \ud800") == rb"M\udcfcller \ud800"
    assert utf8("M\udcfcller") == rb"M\xfcller"
    assert utf8("M\udcc3\udcbcller") == "Müller".encode()  # a name as a system without UTF-8 gives it


def test_a_text_file_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    write_utf8(tmp_path / "table.csv", "a\nb\rü\udcff\n")
    assert (tmp_path / "table.csv").read_bytes() == b"a\nb\r\xc3\xbc\\xff\n"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("name", ["x" * 248 + ".nii.gz", "患" * 82 + ".nii.gz", os.fsdecode(b"\xff" * 250) + ".csv"])
def test_the_longest_names_that_a_file_system_takes_can_be_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with written_aside(path) as aside:
        assert "".join(aside.suffixes[-2:]).endswith(path.suffix)
        aside.write_bytes(b"content")
    assert path.read_bytes() == b"content"


def test_files_that_belong_together_change_all_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "none" / "second"
    first.write_bytes(b"old")
    with pytest.raises(SemganError, match="cannot be written") as caught:
        write_together({first: b"new", second: b"new"})
    assert caught.value.path == second and first.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [first]
    second.parent.mkdir()
    write_together({first: b"new", second: b"new"})
    assert first.read_bytes() == second.read_bytes() == b"new"


def test_a_folder_that_was_made_for_nothing_goes_with_its_parents(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with made_folder(tmp_path / "there"), made_folder(tmp_path / "a" / "b" / "c"), made_folder(tmp_path / "d" / "e"):
        (tmp_path / "d" / "kept").write_bytes(b"")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["d", "d/kept", "there"]
