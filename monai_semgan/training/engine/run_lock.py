"""One process at a time trains in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from monai_semgan.errors import SemganError
from monai_semgan.training.engine.distributed import Workers
from monai_semgan.utils.file_locks import release_and_remove, take_lock
from monai_semgan.utils.files import made_folder, write_error

LOCK = ".lock"
"""Name of the lock file; the operating system gives the lock back when its process ends, however that comes."""

BUNDLE = "configs/metadata.json"
"""What a bundle has and no run."""


@contextlib.contextmanager
def locked_run(folder: Path, workers: Workers) -> Iterator[None]:
    """Hold the run's folder while the block runs; of several processes of one run the first does.

    Raises:
        SemganError: if another run holds it, it cannot be made, or it is a bundle.
    """
    with contextlib.ExitStack() as stack:
        workers.first(lambda: stack.enter_context(_held(folder)))
        yield


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    if (folder / BUNDLE).is_file():
        raise SemganError("is a bundle, not the folder of a run", remedy="choose another --out", path=folder)
    with contextlib.ExitStack() as stack:
        new = not folder.exists()
        try:
            stack.enter_context(made_folder(folder))
        except OSError as error:
            raise write_error(error, folder) from error
        problem = "another process trains in this folder"
        lock = take_lock(folder / LOCK, problem, "wait for its end, or choose another --out", folder)
        try:
            yield
        finally:
            _release(lock, folder, new)


def _release(lock: FileLock, folder: Path, new: bool) -> None:
    """Give the lock back; its file goes too where nothing else has come into a folder that was made for the run."""
    if new and os.listdir(folder) == [LOCK]:
        release_and_remove(lock)
    else:
        lock.release()
