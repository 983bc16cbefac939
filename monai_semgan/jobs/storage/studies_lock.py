"""One server at a time uses a folder of studies."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from monai_semgan.utils.file_locks import take_lock


def claim(path: Path) -> FileLock:
    """Take a lock that ends with this process.

    Raises:
        SemganError: if another process has it, or its file cannot be written.
    """
    problem, remedy = "another server uses these studies", "stop it or choose another folder"
    return take_lock(path, problem, remedy, path.parent.parent)
