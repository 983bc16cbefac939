"""Archives of clients: what would fill memory or disk is refused before it is unpacked."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the environment of the extra label")

from fastapi import HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semgan.label_app.server import received_files as module
from monai_semgan.label_app.server.received_files import plain_name, unpack, zip_directory_bytes

pytestmark = pytest.mark.label


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """A zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refused(archive: Path, folder: Path, limit_bytes: int = 1000) -> HTTPException:
    """How unpacking it is refused."""
    folder.mkdir()
    with pytest.raises(HTTPException) as error:
        unpack(archive, folder, limit_bytes)
    assert not any(folder.iterdir())
    return error.value


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": bytes(6000), "b": bytes(6000)})
    assert refused(archive, tmp_path / "out").status_code == 422


def test_a_zip_whose_list_of_files_is_huge_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": b"x"})
    monkeypatch.setattr(module, "MAX_DIRECTORY_BYTES", 10)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # must not be reached
    assert refused(archive, tmp_path / "out").status_code == 422


def test_the_larger_of_two_lengths_of_the_list_counts(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": b"x"})
    content = archive.read_bytes()
    plain = zip_directory_bytes(archive)
    assert 40 < plain < 100
    end = content.rfind(b"PK\x05\x06")
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 5 << 30, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    archive.write_bytes(content[:end] + record + locator + content[end:])
    assert zip_directory_bytes(archive) == 5 << 30


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_that_names_endless_files_is_refused_on_the_way(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 20)
    header = tarfile.TarInfo("x").tobuf()
    content = header * 3000 + b"\xff" * 512  # damaged after that: whoever reads on finds it
    archive = tmp_path / f"a.{ending}"
    archive.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    error = refused(archive, tmp_path / "out")
    assert error.status_code == 422 and "more than 20 files" in error.detail


def test_a_tar_of_one_sparse_giant_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("giant")
    entry.size = 8 << 30
    archive = tmp_path / "a.tar"
    archive.write_bytes(entry.tobuf())
    assert refused(archive, tmp_path / "out").status_code == 422


def test_a_disk_without_room_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": b"x"})
    monkeypatch.setattr(module, "RESERVE_BYTES", 1 << 60)
    assert refused(archive, tmp_path / "out").status_code == 507


def test_an_empty_archive_says_so(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("folder"), io.BytesIO())
    (tmp_path / "empty.zip").write_bytes(zipped(tmp_path / "b.zip", {}).read_bytes())
    assert "no files" in refused(tmp_path / "empty.zip", tmp_path / "out").detail


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=400))
def test_every_name_becomes_one_that_a_file_can_have(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    plain = plain_name(name)
    place = tmp_path_factory.getbasetemp() / f"00000_{plain}"
    place.write_bytes(b"")
    assert place.parent == tmp_path_factory.getbasetemp() and not plain.startswith(".")
    place.unlink()
