"""One process at a time trains in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from monai_semgan.errors import SemganError
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.utils.files import write_error

LOCK = ".lock"
"""Name of the lock file; the operating system gives the lock back when its process ends, however that comes."""


@contextlib.contextmanager
def locked_run(folder: Path, workers: Workers) -> Iterator[None]:
    """Hold the run's folder while the block runs; of several processes of one run the first does.

    Raises:
        SemganError: if another run holds it, or it cannot be made.
    """
    if not workers.is_main:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        problem = "another process trains in this folder"
        raise SemganError(problem, remedy="wait for its end, or choose another --out", path=folder) from None
    except OSError as error:
        raise write_error(error, folder) from error
    try:
        yield
    finally:
        lock.release()
