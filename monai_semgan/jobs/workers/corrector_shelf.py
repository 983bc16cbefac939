"""Correctors that stay in a worker's memory, so that the next stroke need not wait for the scan to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_semgan.correction.corrector import Corrector

KEPT = 2
KEPT_BYTES = 150 * 2**20
"""Of scans; the one that was corrected last stays, however large."""

Key = tuple[str, str, "str | None"]
"""Job that is corrected, folder of the model, fingerprint of the scan."""


@dataclass
class Shelved:
    """A corrector, and where it stands.

    Attributes:
        corrector: with scan and label.
        label_file: where its label was written; empty while that is not known. No two results have the same.
    """

    corrector: Corrector
    label_file: str = ""


class CorrectorShelf:
    """Keeps the correctors that were used last. For one thread."""

    def __init__(self) -> None:
        self._kept: dict[Key, Shelved] = {}

    @property
    def keys(self) -> list[Key]:
        """List what is kept, the one that was used last at the end."""
        return list(self._kept)

    def take(self, key: Key) -> Shelved | None:
        """Take a corrector away; whoever has used it puts it back when all went well."""
        return self._kept.pop(key, None)

    def put(self, key: Key, shelved: Shelved) -> None:
        """Keep a corrector; older ones go when there are too many, or they take too much memory."""
        self._kept[key] = shelved
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes() > KEPT_BYTES):
            del self._kept[next(iter(self._kept))]

    def _bytes(self) -> int:
        return sum(one.corrector.volume.array.nbytes for one in self._kept.values())
