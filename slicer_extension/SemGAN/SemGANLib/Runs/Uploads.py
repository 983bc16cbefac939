"""Volumes that the server has already: sent once, used by every job until they change or expire."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

from ..Scene import Geometry
from ..Types.JobTypes import Upload

SPARE_SECONDS = 60.0
"""Uploads that expire sooner are sent again."""


@dataclass(frozen=True)
class Version:
    """State of a volume; another one must be sent anew.

    Attributes:
        image: the voxels' object, kept alive so that its identity means something.
        time: when the voxels were last modified.
        place: the grid.
    """

    image: Any
    time: int
    place: bytes

    def same(self, other: Version) -> bool:
        """Tell whether nothing has changed."""
        return self.image is other.image and self.time == other.time and self.place == other.place


def version_of(volume: Any) -> Version:
    """Note the state of a volume now."""
    image = volume.GetImageData()
    return Version(image, image.GetMTime(), Geometry.ijk_to_world(volume).tobytes())


class Uploads:
    """What was sent to one server.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Version, Upload]] = {}

    def find(self, volume: Any) -> str | None:
        """Look up the id of the upload of a volume as it is now."""
        version, upload = self._known.get(volume.GetID(), (None, None))
        if version is None or upload is None or not version.same(version_of(volume)):
            return None
        return upload.id if upload.expires > self._clock() + SPARE_SECONDS else None

    def add(self, volume_id: str, version: Version, upload: Upload) -> str | None:
        """Remember an upload; returns the id of an earlier one of the same volume, which is of no use any more."""
        earlier = self._known.get(volume_id)
        self._known[volume_id] = (version, upload)
        return earlier[1].id if earlier else None

    def forget(self, volume_id: str) -> str | None:
        """Forget the upload of a volume; returns its id."""
        earlier = self._known.pop(volume_id, None)
        return earlier[1].id if earlier else None

    def volumes(self) -> list[str]:
        """List the ids of the volumes that were sent."""
        return list(self._known)
