"""Keeps what jobs and uploads take of the disk within bounds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from monai_semgan.jobs.job_errors import NoSpace
from monai_semgan.jobs.storage.store import JobStore

RESERVE_BYTES = 32 * 2**20
"""Space on the disk that jobs never take."""

Removals = Iterator[Callable[[], None]]
"""Functions that each remove something, the least missed first."""


def file_bytes(path: Path) -> int:
    """Count the bytes of a file; a folder, which stays where it is, counts none."""
    return path.stat().st_size if path.is_file() else 0


class Place(Protocol):
    """Something beside jobs and uploads that counts in the limit and makes room for them."""

    def used(self) -> int:
        """Count its bytes."""

    def removals(self) -> Removals:
        """Yield what can go."""


class DiskQuota:
    """Remove what is oldest when the disk, or what jobs may take of it, is full.

    Args:
        store: what is measured.
        limit_bytes: of everything together.
    """

    def __init__(self, store: JobStore, limit_bytes: int) -> None:
        self.store, self.limit_bytes = store, limit_bytes
        self._grown = threading.Event()
        self._places: list[Place] = []

    def include(self, place: Place) -> None:
        """Count another place too; what is in it goes before jobs and uploads."""
        self._places.append(place)

    def used(self) -> int:
        """Count the bytes of everything."""
        return self.store.used() + sum(place.used() for place in self._places)

    def make_space(self, needed: int, removals: Removals) -> None:
        """Remove until there is space.

        Raises:
            NoSpace: if that does not suffice.
        """
        everything = self._with_places(removals)
        while not self.suffices(needed):
            remove = next(everything, None)
            if remove is None:
                raise NoSpace("no room for another job; remove jobs or uploads, or let the server have more disk")
            remove()

    def note_growth(self) -> None:
        """Note that something was written; `overfull` looks at it."""
        self._grown.set()

    def overfull(self) -> bool:
        """Tell whether what was written since the last look is too much."""
        if not self._grown.is_set():
            return False
        self._grown.clear()
        return self.used() > self.limit_bytes

    def shrink(self, removals: Removals) -> None:
        """Remove until the limit is kept, as far as possible."""
        for remove in self._with_places(removals):
            remove()
            if self.used() <= self.limit_bytes:
                return

    def _with_places(self, removals: Removals) -> Removals:
        return itertools.chain(*(place.removals() for place in self._places), removals)

    def suffices(self, needed: int) -> bool:
        """Tell whether so many bytes have room without anything being removed."""
        return self.used() + needed <= self.limit_bytes and self.store.free() >= needed + RESERVE_BYTES
