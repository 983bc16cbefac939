"""Files that clients send: kept under a name of the server's own, looked at before anything is done with them."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fastapi import HTTPException

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_errors import JobError
from monai_semgan.jobs.scan_checks import check_growth, check_scan
from monai_semgan.label_app.infer_request import EXTENSIONS

if TYPE_CHECKING:
    from fastapi import UploadFile

MAX_UNPACKED = 10
"""An archive becomes at most this many times as large as the limit of uploads."""

MAX_FILES = 10_000
MAX_DIRECTORY_BYTES = MAX_FILES << 10
"""Of the list of files in a zip, which is read into memory whole."""

RESERVE_BYTES = 256 << 20
"""Space on the disk that unpacking leaves."""

LONGEST_NAME = 100
"""Bytes of a name that are kept, with its ending."""


def receive(upload: UploadFile, endings: Iterable[str] = EXTENSIONS) -> Path:
    """Keep the file in a new folder of its own.

    Returns:
        Its path; only the ending is the client's.

    Raises:
        HTTPException: 415 if its ending is none of `endings`.
    """
    name = (upload.filename or "upload.nii.gz").lower()
    found = sorted((ending for ending in endings if name.endswith(ending)), key=len)
    if not found:
        raise HTTPException(415, f"unknown file ending; use {', '.join(endings)}")
    path = Path(tempfile.mkdtemp(prefix="semgan_")) / f"upload{found[-1]}"
    try:
        with path.open("wb") as stream:
            shutil.copyfileobj(upload.file, stream, 1 << 20)
    except BaseException:
        discard(path)
        raise
    return path


def check_image(path: Path) -> None:
    """Read it, to see whether that is possible, in a process of its own.

    Raises:
        JobError: it cannot be read, with the reason; the file is removed then.
    """
    try:
        check_scan(path)
    except JobError:
        discard(path)
        raise


def check_unread_image(path: Path) -> None:
    """Make sure that a file which the worker will read does not unpack to more than a scan can.

    Raises:
        SemganError: it does; the file is removed then.
    """
    try:
        check_growth(path)
    except SemganError:
        discard(path)
        raise


def discard(path: str | Path) -> None:
    """Remove a received file with its folder."""
    shutil.rmtree(Path(path).parent, ignore_errors=True)


def unpack(archive: Path, folder: Path, limit_bytes: int) -> None:
    """Unpack a zip or tar; nothing lands outside the folder.

    Args:
        archive: the file.
        folder: an empty one.
        limit_bytes: of all files together.

    Raises:
        HTTPException: 422 for what is no archive, is damaged, or too large.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, limit_bytes)
        else:
            _unpack_tar(archive, folder, limit_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        raise HTTPException(422, "not a readable zip or tar archive") from error


def _unpack_zip(archive: Path, folder: Path, limit_bytes: int) -> None:
    if zip_directory_bytes(archive) > MAX_DIRECTORY_BYTES:
        raise _too_much()
    with zipfile.ZipFile(archive) as opened:
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
        _check_amount(len(entries), sum(entry.file_size for entry in entries), folder, limit_bytes)
        for number, entry in enumerate(entries):
            with opened.open(entry) as source:
                _copy(source, folder / _plain(number, entry.filename))


def _unpack_tar(archive: Path, folder: Path, limit_bytes: int) -> None:
    with tarfile.open(archive) as opened:
        entries, size = [], 0
        for number, entry in enumerate(opened):  # one by one: a small archive may name millions
            size += entry.size
            if number >= 2 * MAX_FILES or size > limit_bytes * MAX_UNPACKED:
                raise _too_much()
            if entry.isreg():
                entries.append(entry)
        _check_amount(len(entries), size, folder, limit_bytes)
        for number, entry in enumerate(entries):
            source = opened.extractfile(entry)
            if source is not None:
                _copy(source, folder / _plain(number, entry.name))


def zip_directory_bytes(archive: Path) -> int:
    """Return how large the list of files in a zip says that it is, the larger of what its two records say."""
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        stream.seek(max(size - (1 << 16) - 128, 0))
        tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    told = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    large = tail.rfind(b"PK\x06\x06", 0, max(end, 0))
    told_again = int.from_bytes(tail[large + 40 : large + 48], "little") if large >= 0 else 0
    return max(told if told != 0xFFFFFFFF else 0, told_again)


def _check_amount(files: int, size: int, folder: Path, limit_bytes: int) -> None:
    if files == 0:
        raise HTTPException(422, "the archive holds no files")
    if files > MAX_FILES or size > limit_bytes * MAX_UNPACKED:
        raise _too_much()
    if shutil.disk_usage(folder).free < size + RESERVE_BYTES:
        raise HTTPException(507, "the disk of the server has no room to unpack the archive")


def _too_much() -> HTTPException:
    return HTTPException(422, f"the archive holds more than {MAX_FILES} files, or unpacks to too much")


def _copy(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)


def _plain(number: int, name: str) -> str:
    """Return a name without folders, which two files of an archive cannot share."""
    return f"{number:05d}_{plain_name(name)}"


def plain_name(name: str | None) -> str:
    """Return the last part of a client's file name, without what could lead elsewhere."""
    last = os.path.basename((name or "").replace("\\", "/"))
    kept = "".join(sign for sign in last if sign.isprintable()).encode()[-LONGEST_NAME:]
    return kept.decode(errors="ignore").lstrip(".") or "file"
