"""A server on loopback whose images are the series of an archive, which may not answer or not take a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.slicer_extension.datastore.versioned_server import VersionedServer

HOST = "pacs.hospital.example"


@dataclass
class ArchiveServer(VersionedServer):
    """See `VersionedServer`; its answers are those of `monai_semgan.label_app.archive_store.submission`.

    Attributes:
        waits: why the archive is not reached; empty if it is.
        refused: why the archive does not take the labels of an image, by id.
        unlisted: why the archive could not be listed; empty if it could.
        foreign: images that are none of the archive.
        archive: labels that it has, by image and tag.
        submissions: what is known of labels that were to be sent, by image and tag.
    """

    waits: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    unlisted: str = ""
    foreign: set[str] = field(default_factory=set)
    archive: dict[tuple[str, str], bytes] = field(default_factory=dict)
    submissions: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def reply(self, method: str, target: str, headers: Any, body: bytes, kind: str) -> tuple[int, Any]:
        """Answer what is about the archive, and leave the rest."""
        parts = urlsplit(target)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        status, content = super().reply(method, target, headers, body, kind)
        if words[:2] == ["semgan", "archive"] and status == 404:  # unless it is told to fail
            return self._archive(method, words[2:])
        if (method, words, status) == ("PUT", ["datastore", "label"], 200):
            image = parse_qs(parts.query)["image"][0]
            told = self.send(image, "final")  # whichever label was saved, as the real server does
            content = {**content, **({"archive": told} if told else {})}
        return status, content

    def send(self, image: str, tag: str) -> dict[str, Any] | None:
        """Send the label that is there to the archive, and tell how that went."""
        kept = self.versions_of.get((image, tag))
        if not kept or image in self.foreign:
            return None
        reason = self.waits or self.refused.get(image, "")
        state = "waiting" if self.waits else "refused" if reason else "sent"
        if state == "sent":
            self.archive[image, tag] = kept[-1].data
        told = {"image": image, "tag": tag, "version": len(kept), "state": state, "reason": reason, "series": "1.2.3"}
        self.submissions[image, tag] = told
        return told

    def _archive(self, method: str, words: list[str]) -> tuple[int, Any]:
        if (method, words) == ("GET", []):
            unsent = [told for told in self.submissions.values() if told["state"] != "sent"]
            return 200, {"archive": HOST, "trouble": self.unlisted, "unsent": unsent}
        _, image, tag = words
        if (image, tag) not in self.versions_of:
            return 404, {"detail": f"there is no label {tag} of {image}"}
        told = self.send(image, tag)
        return (200, told) if told else (409, {"detail": "the image is none of the archive: a client has sent it"})
