"""A server on loopback that keeps versions of labels, tells who made them, and refuses what its caller has not seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.loopback import read_form


@dataclass
class StoredVersion:
    """A label as it was put there."""

    data: bytes
    params: dict[str, Any]
    etag: str
    suffix: str = ".nrrd"
    review: dict[str, str] | None = None


@dataclass
class VersionedServer(FakeServer):
    """See `FakeServer`.

    Attributes:
        versions_of: of labels by image and tag, the newest last.
    """

    versions_of: dict[tuple[str, str], list[StoredVersion]] = field(default_factory=dict)

    def put(
        self, image: str, tag: str, data: bytes, params: dict[str, Any] | None = None, suffix: str = ".nrrd"
    ) -> StoredVersion:
        """Keep a label, as if another reader had submitted it."""
        kept = self.versions_of.setdefault((image, tag), [])
        kept.append(StoredVersion(data, params or {}, f'"{tag}{len(kept) + 1}"', suffix))
        self.labels[image, tag] = (kept[-1].params, data)
        return kept[-1]

    def reply(self, method: str, target: str, headers: Any, body: bytes, kind: str) -> tuple[int, Any]:
        """Answer what is about labels, and leave the rest."""
        parts = urlsplit(target)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if words[:2] == ["semgan", "labels"]:
            if method == "GET":
                return 200, {"image": words[2], "labels": self._facts(words[2])}
            return self._review(words[2], words[3], headers, json.loads(body))
        if words == ["datastore", "label"] and method == "PUT":
            return self._save(query["image"], query["tag"], headers, read_form(body, kind))
        if words[:2] == ["datastore", "label"]:
            kept = self.versions_of.get((query["label"], query["tag"]))
            if not kept:
                return 404, {"detail": "no such label"}
            return 200, kept[-1].params if words[2:] == ["info"] else kept[-1].data
        return super().reply(method, target, headers, body, kind)

    def further_headers(self, method: str, target: str) -> dict[str, str]:
        """Tell the state of a label."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        kept = self.versions_of.get((query.get("image") or query.get("label") or "", query.get("tag", "")))
        if parts.path != "/datastore/label" or not kept:
            return {}
        name = f'attachment; filename="label{kept[-1].suffix}"'
        return {"ETag": kept[-1].etag, **({"Content-Disposition": name} if method == "GET" else {})}

    def _facts(self, image: str) -> list[dict[str, Any]]:
        return [
            {
                "tag": tag,
                "etag": kept[-1].etag.strip('"'),
                "version": len(kept),
                "saved": "2026-11-28T14:32:07+00:00",
                "annotator": kept[-1].params.get("annotator"),
                "model": kept[-1].params.get("model"),
                "edited": kept[-1].params.get("edited"),
                "review": kept[-1].review,
                "versions": [{"version": n} for n in range(len(kept) - 1, 0, -1)],
            }
            for (name, tag), kept in self.versions_of.items()
            if name == image
        ]

    def _outdated(self, image: str, tag: str, headers: Any) -> tuple[int, Any] | None:
        kept = self.versions_of.get((image, tag))
        wanted = headers.get("If-Match")
        there = kept[-1].etag if kept else None
        fits = there is None if headers.get("If-None-Match") == "*" else wanted in (None, there)
        who = kept[-1].params.get("annotator") if kept else None
        return None if fits else (412, {"detail": f"the label was saved by {who} at 14:32"})

    def _save(self, image: str, tag: str, headers: Any, form: dict[str, tuple[str, bytes]]) -> tuple[int, Any]:
        if image not in self.images:
            return 404, {"detail": "Image NOT Found"}
        params, data = json.loads(form["params"][1]), form["label"][1]
        kept = self.versions_of.get((image, tag))
        refused = self._outdated(image, tag, headers)
        if refused:
            return refused
        if kept and _empty(data) and not _empty(kept[-1].data) and not params.get("allow_empty"):
            return 409, {"detail": "the label is empty, the one that is there is not"}
        self.put(image, tag, data, params)
        return 200, {"image": image, "label": image}

    def _review(self, image: str, tag: str, headers: Any, said: dict[str, str]) -> tuple[int, Any]:
        refused = self._outdated(image, tag, headers)
        if refused:
            return refused
        self.versions_of[image, tag][-1].review = {**said, "when": "2026-11-28T15:00:00+00:00"}
        return 200, {}


def _empty(data: bytes) -> bool:
    from SemGANLib.Server.Nrrd import decode

    return not decode(data).array.any()
