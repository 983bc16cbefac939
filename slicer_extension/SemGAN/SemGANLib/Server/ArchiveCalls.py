"""What a client asks about the archive behind a server: what it does not have, and to send it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..Types.ArchiveTypes import ArchivedLabel, ArchiveFacts
from . import Errors
from .Http import Answer, Http

SEND_SECONDS = 120.0
"""Patience while a server sends a label: it does what was asked before first, and waits for the archive itself."""


class ArchiveCalls:
    """Part of the client. See `Protocols.ClientProtocol.Client` for what each call promises."""

    _http: Http
    address: str

    if TYPE_CHECKING:

        def _get(self, path: str) -> Any: ...

        def _json(self, answer: Answer) -> Any: ...

    def archive(self) -> ArchiveFacts | None:
        """Ask which archive a server has; None where its images lie in a folder, or it is older.

        Raises:
            Errors.ServerError: as every call.
        """
        try:
            content = self._get("/semgan/archive")
        except (Errors.Gone, Errors.NotAllowed):
            return None
        if not isinstance(content, dict) or not content.get("archive"):
            return None
        unsent = content.get("unsent")
        labels = [archived(entry) for entry in unsent] if isinstance(unsent, list) else []
        found = tuple(label for label in labels if label is not None)
        return ArchiveFacts(str(content["archive"]), str(content.get("trouble") or ""), found)

    def send_again(self, image: str, tag: str) -> ArchivedLabel:
        """Have a label sent to the archive that does not have it.

        Raises:
            Errors.Gone: if there is no such label any more.
            Errors.ServerError: as every call.
        """
        path = f"/semgan/archive/submissions/{quote(image, safe='')}/{quote(tag, safe='')}"
        label = archived(self._json(self._http.request("POST", path, b"", seconds=SEND_SECONDS)))
        if label is None:
            raise Errors.unreadable(self.address, "ArchivedLabel")
        return label


def archived_in(body: bytes) -> ArchivedLabel | None:
    """Read from the answer to a label what the archive has of it; None where it says nothing of an archive."""
    try:
        content = json.loads(body.decode("utf-8"))
    except ValueError:  # what else a server says of a label it has taken is no matter
        return None
    return archived(content.get("archive")) if isinstance(content, dict) else None


def archived(entry: Any) -> ArchivedLabel | None:
    """Read what the archive has of a label; None where it cannot be read."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in ("image", "tag", "state")):
        return None
    return ArchivedLabel(entry["image"], entry["tag"], entry["state"], str(entry.get("reason") or ""))
