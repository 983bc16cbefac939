"""Several files of a bundle change together or not at all, whatever moment a kill comes at.

The new files are made and tried in a folder of their own. Renaming it to `PENDING` is the moment at which the change is
decided; after that its files are moved to their places, and whoever opens the bundle next finishes what a kill left.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from monai_semgan.errors import SemganError

PENDING = ".pending"
"""Folder in a bundle with files that have been decided and are not all in their places yet."""


def put_in_place(draft: Path, folder: Path) -> None:
    """Move all files of a folder on the same disk into a bundle, all or none.

    Args:
        draft: lies in the bundle and has its layout; is gone afterwards.
        folder: of the bundle.

    Raises:
        OSError: the bundle cannot be written.
    """
    finish_pending(folder)
    draft.rename(folder / PENDING)
    finish_pending(folder)


def finish_pending(folder: Path) -> bool:
    """Finish a change of a bundle that was stopped half-way; several processes may do so at once.

    Returns:
        Whether there was one.

    Raises:
        SemganError: there is one, and the bundle cannot be written.
    """
    pending = folder / PENDING
    if not pending.is_dir():
        return False
    try:
        for path in sorted(path for path in pending.rglob("*") if path.is_file()):
            target = folder / path.relative_to(pending)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process has moved it
                os.replace(path, target)
        for place in sorted((path for path in pending.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()
        with contextlib.suppress(FileNotFoundError):
            pending.rmdir()
    except OSError as error:
        problem = f"a change of this bundle was stopped half-way and cannot be finished: {error.strerror or error}"
        raise SemganError(problem, remedy="make the folder writable once", path=folder) from error
    return True
