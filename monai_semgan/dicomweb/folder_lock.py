"""One process at a time fetches into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from monai_semgan.utils.file_locks import release_and_remove
from monai_semgan.utils.files import write_error

LOCK = ".lock"
POLL_SECONDS = 0.2


@contextmanager
def locked_folder(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a folder while the block runs; the lock's file goes at its end.

    Args:
        folder: there already.
        on_wait: is called again and again while somebody else holds it; what it raises ends the waiting.

    Raises:
        SemganError: the folder cannot be written.
    """
    lock = FileLock(str(folder / LOCK))
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
            break
        except Timeout:
            on_wait()
        except OSError as error:
            raise write_error(error, folder) from error
    try:
        yield
    finally:
        release_and_remove(lock)
