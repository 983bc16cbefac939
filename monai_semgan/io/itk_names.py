"""Names of files that ITK takes: those that are text; files of other names are given to it by a link."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import is_text

DETACHED = (".mhd", ".nhdr")
"""Endings of headers whose voxels lie beside them."""


@contextmanager
def readable_by_itk(path: Path) -> Iterator[str]:
    """Give a name under which ITK can read a file: its own, or that of a link where its own is no text.

    Raises:
        SemganError: links cannot be made here, or would part a header from its voxels.
    """
    if is_text(path):
        yield str(path)
        return
    if path.suffix.lower() in DETACHED and not is_text(Path(path.name)):
        raise _unreadable(path)
    with _link_to(path.parent, path) as folder:
        if is_text(Path(path.name)):
            yield str(folder / path.name)
            return
        link = folder.with_name(f"scan{path.suffix}")
        link.symlink_to(path.absolute())
        yield str(link)


@contextmanager
def writable_by_itk(path: Path) -> Iterator[str]:
    """Give a name under which ITK can write a file; it has its own when the block ends.

    Raises:
        SemganError: links cannot be made here.
    """
    if is_text(path):
        yield str(path)
        return
    with _link_to(path.parent, path) as folder:
        aside = folder / f".{folder.parent.name}{path.suffix}"
        try:
            yield str(aside)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def _link_to(folder: Path, path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="semgan-") as home:
        link = Path(home) / "here"
        try:
            link.symlink_to(folder.absolute(), target_is_directory=True)
        except OSError as error:
            raise _unreadable(path) from error
        yield link


def _unreadable(path: Path) -> SemganError:
    return SemganError("its name is not UTF-8 text, which ITK cannot take", remedy="rename it", path=path)
