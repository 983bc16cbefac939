"""Files appear complete or not at all, and a place that cannot be written is found before the work."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from monai_semgan.errors import SemganError, WriteFailure

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for want of space."""

LONGEST_NAME = 240
"""Bytes of a name that leave room for the mark of a temporary file; file systems take 255."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Raises:
        SemganError: the block or the move failed for want of space or permission.
    """
    end = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else path.name[-LONGEST_NAME // 4 :]
    temporary = path.with_name(f".{secrets.token_hex(4)}.part.{end}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_aside(folder: Path, name: str | None = None) -> Iterator[Path]:
    """A place beside `folder`, to be made and filled, that takes its place if the block ends well, else vanishes.

    Args:
        folder: must not exist.
        name: of the folder while it is filled; its own when left out.

    Raises:
        SemganError: the block or the move failed for want of space or permission.
    """
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        made = scratch / (name or folder.name)
        yield made
        made.rename(folder)
    except OSError as error:
        raise write_error(error, folder) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def utf8(text: str) -> bytes:
    r"""Encode text of a file that others read.

    File names need not be text: in Python, a byte that is no UTF-8 is a lone surrogate, which no encoding takes. It is
    written as `\xff`.
    """
    try:
        stored = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace")
    return stored.decode("utf-8", "backslashreplace").encode()


def write_utf8(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, the same bytes on every system, complete or not at all.

    Raises:
        SemganError: it cannot be written.
    """
    with written_aside(path) as aside:
        aside.write_bytes(utf8(text))
    return path


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all are complete before the first one appears, the last one last.

    Raises:
        SemganError: one cannot be written; no file has changed then, unless the disk failed between two names.
    """
    with ExitStack() as stack:
        for path, content in reversed(list(contents.items())):  # the first to be entered is the last to get its name
            aside = stack.enter_context(written_aside(path))
            try:
                aside.write_bytes(content)
            except OSError as error:
                raise write_error(error, path) from error


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """Remove what a block that was refused has put into a folder; what was there before stays."""
    before = set(os.listdir(folder)) if folder.is_dir() else set()
    try:
        yield
    except SemganError:
        for name in set(os.listdir(folder)) - before if folder.is_dir() else ():
            path = folder / name
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        raise


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder for a block; when nothing lies in it at the end it goes again, with the parents that were made.

    Raises:
        OSError: it cannot be made.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):  # the first that holds something
            for place in made:
                place.rmdir()


def is_text(path: Path | str) -> bool:
    """Tell whether a path can be written in UTF-8; file systems allow any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def write_error(error: OSError, path: Path) -> WriteFailure:
    """A failure to write, in words that a user can act upon."""
    if error.errno in DISK_FULL:
        return WriteFailure("the disk is full", remedy="make room or choose another output", path=path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WriteFailure("cannot be written: permission denied", remedy="choose another output folder", path=path)
    reason = (error.strerror or str(error)).lower()
    return WriteFailure(f"cannot be written: {reason}", remedy="choose another output", path=path)


def check_output_folder(folder: str | Path, option: str, probe: str) -> Path:
    """Make sure, before long computations, that results can be written into a folder; makes it when missing.

    Args:
        folder: where the results shall go.
        option: of the command line that names it.
        probe: name of a file that will lie there.

    Raises:
        SemganError: if it is a file, or cannot be made or written.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise SemganError("is a file, a folder is needed", remedy=f"choose another {option}", path=path)
    return check_output(path / probe, (Path(probe).suffix,)).parent


def check_output(path: str | Path, suffixes: tuple[str, ...], inputs: tuple[Path, ...] = ()) -> Path:
    """Make sure, before long computations, that a result can be written; creates missing folders.

    Args:
        path: where the result shall go.
        suffixes: endings that can be written.
        inputs: files that must not be overwritten.

    Raises:
        SemganError: with the reason.
    """
    path = Path(os.path.realpath(path))
    if not path.name.lower().endswith(suffixes):
        raise SemganError("unknown file ending", remedy=f"use {', '.join(suffixes)}", path=path)
    if path.is_dir():
        raise SemganError("is a folder, a file name is needed", path=path)
    if path.exists() and any(Path(p).exists() and os.path.samefile(path, p) for p in inputs):
        raise SemganError("the output would overwrite the input", remedy="choose another output", path=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SemganError("the folder cannot be written", remedy="choose another output folder", path=path)
    return path


def bytes_in(folder: Path) -> int:
    """Count the bytes of all files in a folder and below; files may vanish meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return total
