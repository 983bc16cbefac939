"""One server at a time uses a folder of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError


def claim(path: Path) -> Any:
    """Take a lock that ends with this process.

    Raises:
        SemganError: if another process has it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - optional extra

    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        remedy = "stop it or choose another folder"
        raise SemganError("another server uses these studies", remedy=remedy, path=path.parent.parent) from None
    return lock
