"""Routes of MONAI Label at the server of the tests: log-in, batch, images and labels."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import parse_qs

from tests.slicer_extension.loopback import read_form


class StoringServer:
    """Part of the server; see the attributes of `FakeServer`."""

    def _log_in(self, words: list[str], body: bytes) -> tuple[int, Any]:
        if self.login is None:
            return 404, {"detail": "Not Found"}
        if words == ["auth"]:
            return 200, {"enabled": True, "client_id": "monailabel", "realm": "http://keycloak/realms/monailabel"}
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("grant_type") != "password" or self.login.get(form.get("username", "")) != form.get("password"):
            return 401, {"detail": "the log-in server refuses this name and password"}
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return 200, {"access_token": token, "token_type": "bearer"}

    def _batch(self, method: str, body: bytes) -> tuple[int, Any]:
        if method == "POST":
            if self.batch is not None and self.batch["status"] == "RUNNING":
                return 429, {"detail": "a batch is running already"}
            images = json.loads(body).get("images") or [one for one in self.images if (one, "final") not in self.labels]
            progress = {"done": 0, "failed": 0, "total": len(images)}
            self.batch = {"id": "1", "status": "RUNNING", "details": [], "progress": progress}
        if method == "DELETE":
            if self.batch is None or self.batch["status"] != "RUNNING":
                return 200, None
            self.batch["status"] = "STOPPED"
        return (404, {"detail": "there was no batch yet"}) if self.batch is None else (200, self.batch)

    def _store(self, method: str, words: list[str], query: dict[str, str], body: bytes, kind: str) -> tuple[int, Any]:
        if words[0] == "activelearning":
            return 200, {"id": self.next_id} if self.next_id else {}
        if words == ["datastore"]:
            objects = {
                image: {"image": {"ext": suffix}, "labels": {tag: {} for name, tag in self.labels if name == image}}
                for image, (suffix, _) in self.images.items()
            }
            return 200, {"name": "", "objects": objects}
        if method == "GET":
            return 200, self.images[query["image"]][1]
        form = read_form(body, kind)
        if words[1] == "image":
            name, content = form["file"]
            self.images[query["image"]] = (name[name.index(".") :], content)
            return 200, {"image": query["image"]}
        if query["image"] not in self.images:
            return 404, {"detail": "Image NOT Found"}
        self.labels[query["image"], query["tag"]] = (json.loads(form["params"][1]), form["label"][1])
        return 200, {"image": query["image"], "label": query["image"]}
