"""Lock files: the operating system gives a lock back when its process ends, however that comes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import write_error


def take_lock(path: Path, problem: str, remedy: str, place: Path, seconds: float = 0) -> FileLock:
    """Take a lock, which whoever calls this releases.

    Args:
        path: of its file.
        problem: what to say where another process holds it.
        remedy: likewise.
        place: what messages name.
        seconds: to wait for it.

    Raises:
        SemganError: another process holds it, or its file cannot be written.
    """
    lock = FileLock(str(path), timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise SemganError(problem, remedy=remedy, path=place) from None
    except OSError as error:
        raise write_error(error, place) from error
    return lock


def release_and_remove(lock: FileLock) -> None:
    """Give a lock back, and remove its file."""
    path = Path(lock.lock_file)
    if os.name != "nt":  # while it is held: nobody else can take it in between
        path.unlink(missing_ok=True)
    lock.release()
    if os.name == "nt":  # which removes no open file
        with suppress(OSError):
            path.unlink(missing_ok=True)
