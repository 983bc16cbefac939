"""The state of an image's files, read again only when the file system says that they have changed."""

from __future__ import annotations

import os
from pathlib import Path

from monai_semgan.utils.file_state import file_state, fingerprint


class FileStates:
    """Remembers hashes of files by what changes with every write, the time of the inode among it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}

    def state(self, path: Path) -> str:
        """Return a hash of the state of a file and those that belong to it; empty if there is none."""
        try:
            found = os.stat(path)
        except OSError:
            self._known.pop(str(path), None)
            return ""
        facts = found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
        known = self._known.get(str(path))
        if known is not None and known[0] == facts and path.suffix.lower() not in (".mhd", ".nhdr", ".hdr"):
            return known[1]
        state = fingerprint(file_state(os.path.realpath(path)))
        self._known[str(path)] = facts, state
        return state
