"""Files appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_semgan.errors import SemganError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for want of space."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and vanishes otherwise.

    Raises:
        SemganError: the block or the move failed for want of space or permission.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_error(error: OSError, path: Path) -> SemganError:
    """A failure to write, in words that a user can act upon."""
    if error.errno in DISK_FULL:
        return SemganError("the disk is full", remedy="make room or choose another output", path=path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SemganError("cannot be written: permission denied", remedy="choose another output folder", path=path)
    reason = (error.strerror or str(error)).lower()
    return SemganError(f"cannot be written: {reason}", remedy="choose another output", path=path)
