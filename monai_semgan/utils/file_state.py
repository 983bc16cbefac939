"""Whether an input is still the one that a kept result was made from."""

from __future__ import annotations

import os
from pathlib import Path


def file_state(path: Path) -> list[list[str | int]]:
    """Name, size and time of change of a file, or of every file in a folder and below, in order of their paths.

    A file that cannot be looked at has size -1.
    """
    files = [Path(root, name) for root, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    state: list[list[str | int]] = []
    for file in sorted(files):
        try:
            found = file.stat()
            state.append([file.name, found.st_size, found.st_mtime_ns])
        except OSError:
            state.append([file.name, -1, 0])
    return state
