"""Text that other programs write is understood, or refused with the true cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.utils.foreign_text import (
    is_windows_path,
    listed_path,
    listed_text,
    read_foreign_json,
    read_foreign_text,
)

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")


@settings(deadline=None)
@given(
    content=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=4),
    encoding=st.sampled_from(ENCODINGS),
    escaped=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_json_is_read_in_every_encoding_that_unicode_has(
    content: dict[str, Any], encoding: str, escaped: bool, indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "foreign.json"
    path.write_bytes(json.dumps(content, ensure_ascii=escaped, indent=indent).encode(encoding))
    assert read_foreign_json(path, "list") == content


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "shift_jis", "cp437"])
def test_other_encodings_are_told_with_the_line(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(
        '{\n"patient":\n"テスト"}'.encode(encoding) if encoding == "shift_jis" else '{\n\n"Müller"}'.encode(encoding)
    )
    with pytest.raises(SemganError, match="not a JSON file.*line 3 is not UTF-8 text.*save the file in UTF-8"):
        read_foreign_json(path, "list")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"training": [], "training": [1]}', '"training" stands twice'),
        ('{"a": {"x": 1, "x": 1}}', '"x" stands twice'),
        ("", "not a JSON file"),
        ("[" * 200_000, "not a JSON file"),
        ("{'a': 1}", "not a JSON file"),
    ],
)
def test_json_that_cannot_be_meant_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(SemganError, match=message):
        read_foreign_json(tmp_path / "list.json", "list")
    with pytest.raises(SemganError, match="no such list"):
        read_foreign_json(tmp_path / "none.json", "list")


def test_the_mark_of_an_encoding_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    assert read_foreign_text(tmp_path / "key").strip() == "secret"
    (tmp_path / "key").write_bytes("secret\r\n".encode("utf-16"))
    assert read_foreign_text(tmp_path / "key").strip() == "secret"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_list", ["NFC", "NFD"])
def test_letters_with_accents_are_found_however_they_are_composed(on_disk: str, in_list: str, tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize(on_disk, "Übung é")
    folder.mkdir()
    file = folder / unicodedata.normalize(on_disk, "Müller.nii")
    file.touch()
    assert listed_path(unicodedata.normalize(in_list, "Übung é/Müller.nii"), tmp_path).samefile(file)


def test_a_file_that_is_missing_keeps_its_name(tmp_path: Path) -> None:
    assert listed_path("Müller.nii", tmp_path) == tmp_path / "Müller.nii"
    assert listed_path("~/scan.nii", tmp_path) == Path.home() / "scan.nii"


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX")
def test_a_list_in_utf_8_finds_its_files_where_the_system_knows_ascii_only(tmp_path: Path) -> None:
    (tmp_path / "Müller 患者.nii").touch()
    code = "import sys, pathlib; from monai_semgan.utils.foreign_text import listed_path as l; "
    code += r"sys.exit(not l('M\xfcller \u60a3\u8005.nii', pathlib.Path(sys.argv[1])).exists())"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, timeout=60).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="there they are right")
@pytest.mark.parametrize(
    ("name", "foreign"),
    [("images\\a.nii", True), ("C:\\a.nii", True), ("D:/a.nii", True), ("\\\\server\\share\\a.nii", True),
     ("images/a.nii", False), ("/data/a:b.nii", False), ("a.nii", False)],
)  # fmt: skip
def test_paths_of_windows_are_known(name: str, foreign: bool) -> None:
    assert is_windows_path(name) == foreign


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "1"), (1.0, "1"), ("1", "1"), ("001", "001"), (0, "0"), ("0", "0"), (1.5, "1.5"), (10**17, str(10**17)),
        (None, ""), (float("nan"), ""), ("", ""), ("  ", ""), (" Ann ", "Ann"), ("Mu\u0308ller", "M\u00fcller"),
        (True, None), (["a"], None), ({"id": 1}, None),
    ],
)  # fmt: skip
def test_a_name_may_be_a_number_but_nothing_else(value: Any, name: str | None) -> None:
    assert listed_text(value) == name
