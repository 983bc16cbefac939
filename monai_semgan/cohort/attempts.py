"""Scans that processes have begun, so that one which kills its process again and again does not stop all others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_semgan.data.scan_folder import BOOKKEEPING
from monai_semgan.utils.files import check_output, write_utf8
from monai_semgan.utils.json_text import json_text

ATTEMPTS = 3
"""Processes that may die at a scan."""

BEGUN = "begun"
"""Folder of the marks, one file for each scan that a process is at."""


@contextmanager
def attempt(output: Path, name: str, key: str) -> Iterator[int]:
    """Mark a scan as begun while the block runs, however it ends; a process that is killed leaves the mark.

    Args:
        output: folder of the results.
        name: of the scan.
        key: of its input and settings: with others, it is counted anew.

    Yields:
        How many processes have died at it before.

    Raises:
        SemganError: the mark cannot be written.
    """
    mark = check_output(mark_path(output, name), (".json",))
    died = _died(mark, key)
    write_utf8(mark, json_text({"key": key, "begun": died + 1, "process": os.getpid()}) + "\n")
    try:
        yield died
    finally:
        mark.unlink(missing_ok=True)


def mark_path(output: Path, name: str) -> Path:
    """Return where the mark of a scan lies while a process is at it."""
    return output / BOOKKEEPING / BEGUN / f"{name}.json"


def _died(mark: Path, key: str) -> int:
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
        return int(content["begun"]) if content["key"] == key else 0
    except (OSError, ValueError, TypeError, KeyError):
        return 0
