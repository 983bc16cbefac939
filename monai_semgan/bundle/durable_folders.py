"""Folders and files that are on the disk as a whole before they get their names."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from monai_semgan.utils.files import write_error, written_aside

PARTIAL, REMOVED = ".part.", ".removed."
"""Beginnings of names of folders that are being made, or removed."""


@contextlib.contextmanager
def made_whole(part: Path, folder: Path) -> Iterator[None]:
    """Let a block fill `part`, which then becomes `folder`; nothing is left where that fails.

    Raises:
        SemganError: for want of space or permission.
    """
    try:
        yield
        part.rename(folder)
        flush(folder.parent)
    except OSError as error:
        raise write_error(error, folder) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def copy_files(made: Path, part: Path) -> None:
    """Copy a bundle file by file, so that a full disk is told as such: `copytree` gathers errors as texts.

    Args:
        made: bundle.
        part: folder of the copy, which is made.

    Raises:
        OSError: for want of space or permission.
    """
    part.mkdir()
    for source in sorted(made.rglob("*")):
        target = part / source.relative_to(made)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def remove_at_once(folder: Path) -> None:
    """Remove a folder: at once by a rename, its files afterwards.

    Raises:
        SemganError: for want of permission.
    """
    gone = folder.with_name(f"{REMOVED}{folder.name}")
    try:
        folder.rename(gone)
    except OSError as error:
        raise write_error(error, folder) from error
    shutil.rmtree(gone, ignore_errors=True)


def write_for_good(path: Path, text: str) -> None:
    """Write a small file that survives a loss of power, complete or not at all.

    Raises:
        SemganError: for want of space or permission.
    """
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
        flush(aside)
    try:
        flush(path.parent)
    except OSError as error:
        raise write_error(error, path) from error


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk; systems that cannot do it for folders do not.

    Raises:
        OSError: the disk refuses.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
