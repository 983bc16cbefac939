"""What is not done without asking the user."""

from __future__ import annotations

from typing import Any

from ..Protocols.ApplicationProtocol import Confirm
from ..Scene.SegmentationImport import segment_ids
from ..Texts import consent_text, replace_text
from ..Translation import tr as _
from ..Views import Connection


class Consent:
    """Asks, and remembers what a volume may be sent to for as long as the program runs."""

    def __init__(self, confirm: Confirm) -> None:
        self._confirm = confirm
        self._agreed: set[tuple[str, str]] = set()

    def to_send(self, volume: Any, connection: Connection) -> bool:
        """Ask whether a volume may leave this computer; once for each volume and server."""
        wish = (connection.address, volume.GetID())
        if connection.local or wish in self._agreed:
            return True
        keep = connection.health.keep_seconds if connection.health is not None else None
        text = consent_text(volume.GetName(), connection.address, keep)
        if not self._confirm(_("Send to another computer?"), text):
            return False
        self._agreed.add(wish)
        return True

    def to_replace(self, segmentation: Any) -> bool:
        """Ask whether the segments of a node may be replaced, if there are any."""
        if not segment_ids(segmentation):
            return True
        return self._confirm(_("Replace segments?"), replace_text(segmentation.GetName()))

    def forget(self) -> None:
        """Forget all answers: the scene is closed, and its ids will be those of other volumes."""
        self._agreed.clear()
