"""Volumes that are sent to the server of the tests, in one go or in parts."""

from __future__ import annotations

import secrets
import time
from typing import Any

import numpy as np
from SemGANLib.Server.Nrrd import decode, encode

from tests.slicer_extension.server_answers import ENDED


class UploadingServer:
    """Part of the server; see the attributes of `FakeServer`."""

    def _uploads(self, method: str, words: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
        if not words:
            return (422, {"detail": self.refuses}) if self.refuses else (201, self._receive(body))
        if method == "DELETE":
            return self._upload(words[0])
        if self.older:
            return 405, {"detail": "Method Not Allowed"}
        if method == "POST":
            upload = secrets.token_hex(16)
            self.parts[upload] = (int(query["bytes"]), bytearray())
            return 201, self._progress(upload)
        upload = words[0]
        if words[1:] == ["image"]:
            if upload not in self.uploads:
                return 404, {"detail": "unknown upload; it may have expired: send the volume again"}
            self.images[query["image"]] = (".nrrd", encode(self.uploads[upload]))
            return 200, {"image": query["image"]}
        if upload in self.uploads:
            return 200, self._progress(upload)
        size, content = self.parts[upload]
        if method == "PATCH":
            if int(query["offset"]) != len(content):
                return 409, {"detail": f"{len(content)} bytes are there"}
            content.extend(body)
        if len(content) == size and self.refuses:
            del self.parts[upload]
            return 422, {"detail": self.refuses}
        if len(content) == size:
            self._receive(bytes(content), upload)
        return 200, self._progress(upload)

    def _progress(self, upload: str) -> dict[str, Any]:
        size, content = self.parts[upload]
        progress = {"id": upload, "received": len(content), "bytes": size, "expires": time.time() + 3600}
        return {**progress, "upload": self.sent[upload]} if upload in self.uploads else progress

    def _upload(self, upload: str) -> tuple[int, Any]:
        """Remove an upload, unless a job needs it."""
        used = [job for job in self.jobs.values() if job["request"].get("upload") == upload]
        if any(job["state"] not in ENDED for job in used):
            return 409, {"detail": "a job that has not ended uses this upload; cancel it first"}
        self.parts.pop(upload, None) if upload not in self.uploads else self.uploads.pop(upload)
        return 204, b""

    def _receive(self, body: bytes, upload: str = "") -> dict[str, Any]:
        grid, upload = decode(body), upload or secrets.token_hex(16)
        self.uploads[upload] = grid
        spacing = np.linalg.norm(grid.affine[:3, :3], axis=0).tolist()
        content = {"id": upload, "bytes": len(body), "expires": time.time() + 3600, "spacing": spacing}
        self.sent[upload] = {**content, "shape": list(grid.array.shape[::-1])}
        return self.sent[upload]
