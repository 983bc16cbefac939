"""Names of files that arrive one after the other: each keeps its own, whatever comes later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from monai_semgan.cohort.records import Record
from monai_semgan.data.identity import name_key, scan_names


class ArrivalNames:
    """Names files as a cohort does, by their own names, and with their folders where the first one is taken.

    Args:
        folder: where the folders of a name begin.
        records: of files that have names already.
    """

    def __init__(self, folder: Path, records: Iterable[Record] = ()) -> None:
        self._folder = folder
        named = [(os.path.abspath(record.input), record.case) for record in records]
        self._names = dict(named)
        self._taken = {name_key(name) for _, name in named}

    def name(self, path: Path) -> str:
        """Return the name of a file below the folder."""
        known = self._names.get(str(path))
        if known is not None:
            return known
        below = os.path.relpath(path, self._folder)
        flat = below.replace(os.sep, "__")
        digest = hashlib.sha256(os.fsencode(below)).hexdigest()[:8]
        choices = (path.name, flat, f"{digest}_{flat}")
        names = (scan_names([self._folder / choice], self._folder)[0] for choice in choices)
        name = next(name for name in names if name_key(name) not in self._taken)
        self._names[str(path)] = name
        self._taken.add(name_key(name))
        return name
