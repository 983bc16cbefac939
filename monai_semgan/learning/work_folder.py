"""A folder for what learning makes before it is a version; what a kill has left there is removed the next time."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from monai_semgan.utils.files import write_error

PREFIX = ".learning."

FORGOTTEN_SECONDS = 2 * 24 * 3600.0
"""After this time without a change a folder belongs to nobody any more."""


@contextlib.contextmanager
def work_folder(root: Path, needed: int = 0) -> Iterator[Path]:
    """Make a folder of this process in the folder of the versions, and remove it at the end.

    Args:
        root: of the versions; made where it is missing.
        needed: bytes that will be written; a disk without room for them is told before the work.

    Raises:
        SemganError: it cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        if shutil.disk_usage(root).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root))
        folder = Path(mkdtemp(prefix=PREFIX, dir=root))
    except OSError as error:
        raise write_error(error, root) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    for entry in os.scandir(root):
        if entry.name.startswith(PREFIX) and time.time() - entry.stat().st_mtime > FORGOTTEN_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)
