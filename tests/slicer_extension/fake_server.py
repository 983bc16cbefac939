"""A server on loopback that answers as the document says, keeps what it was asked, and fails when told to."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension.contract import request_errors, response_errors
from tests.slicer_extension.correcting_server import CorrectingServer

CATEGORY = {"scheme": "SCT", "value": "91723000", "meaning": "Anatomical Structure"}
LABELS = [
    {
        "id": 1,
        "name": "liver",
        "colour": [221, 130, 101],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "10200004", "meaning": "Liver"},
    },
    {
        "id": 2,
        "name": "right kidney",
        "colour": [185, 102, 83],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"},
        "side": {"scheme": "SCT", "value": "24028007", "meaning": "Right"},
    },
    {
        "id": 4,
        "name": "spleen",
        "colour": [157, 108, 162],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"},
    },
]
VALUES = {1: 110.0, 2: 190.0, 4: 140.0}
"""Of the phantom's organs; see tests/phantoms.py."""

MODEL = {"name": "semgan_abdomen", "version": "1.2", "sha256": "ab" * 32}


def segment(array: np.ndarray) -> np.ndarray:
    """Make the label map of the phantom by its values."""
    label = np.zeros(array.shape, dtype=np.uint8)
    for index, value in VALUES.items():
        label[np.abs(array - value) < 1] = index
    return label


DATASTORE = re.compile(r"/semgan/(labels/|uploads/[^/]+/image\b)")
"""Routes that are the datastore's and not in the document of the job API."""


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@dataclass
class FakeServer(CorrectingServer):
    """Attributes are set by tests.

    Attributes:
        key: that requests must carry; empty for none.
        health: answered by `/semgan/health`, over what is usual.
        versions: results that a refinement gives one after the other before it is done.
        hold: a refinement does not end by itself.
        stubborn: jobs go on when they are cancelled.
        deaf: seconds until an answer.
        drop: how many of the next requests are broken off without an answer.
        status: answered to everything instead of what was asked, if set.
        status_at: answered to requests that match a pattern, such as `"POST .*/cancel"`.
        unanswered: patterns; one request of each is carried out, and the connection breaks before the answer.
        breaks: after how many bytes of the next parts of uploads the connection breaks, one after the other.
        older: it takes volumes in one go only.
        refuses: why volumes are not accepted once they are whole; empty if they are.
        login: names and passwords of MONAI Label's log-in; None where it is off.
        tokens: that are valid.
        clients: ids of the clients that asked, by job.
        batch: what MONAI Label's route tells of the batch; None if there was none.
        parts: uploads that are not whole: how large they will be, and what has come.
        domain: of results.
        label_of: label map of an array; makes results.
    """

    key: str = ""
    health: dict[str, Any] = field(default_factory=dict)
    versions: int = 2
    hold: bool = False
    fail: str = ""
    stubborn: bool = False
    deaf: float = 0.0
    drop: int = 0
    status: int = 0
    status_at: dict[str, int] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    older: bool = False
    refuses: str = ""
    login: dict[str, str] | None = None
    tokens: set[str] = field(default_factory=set)
    clients: dict[str, str] = field(default_factory=dict)
    batch: dict[str, Any] | None = None
    parts: dict[str, tuple[int, bytearray]] = field(default_factory=dict)
    domain: dict[str, Any] | None = None
    label_of: Callable[[np.ndarray], np.ndarray] = segment
    grid_of: Callable[[Grid], Grid] = lambda grid: grid
    check: bool = True
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    uploads: dict[str, Grid] = field(default_factory=dict)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    labels: dict[tuple[str, str], tuple[dict[str, Any], bytes]] = field(default_factory=dict)
    next_id: str = ""

    def __enter__(self) -> FakeServer:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def listen(self, port: int = 0, tls: Any = None) -> None:
        """Begin, or begin again with what was there; with https if a context is given."""
        self._server = QuietServer(("127.0.0.1", port), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def die(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def matches(self, pattern: str) -> list[str]:
        """List requests so far whose method and path match a pattern."""
        return [f"{method} {path}" for method, path, *_ in self.requests if re.fullmatch(pattern, f"{method} {path}")]

    def asked(self, method: str, part: str) -> list[tuple[str, str, dict[str, str], bytes]]:
        """List requests so far whose path begins so."""
        return [entry for entry in self.requests if entry[0] == method and entry[1].startswith(part)]

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if self.command == "PATCH" and server.breaks:
                    server.keep(self.path, self.rfile.read(min(length, server.breaks.pop(0))))
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                body = self.rfile.read(length)
                kind = self.headers.get("Content-Type", "")
                server.requests.append((self.command, self.path, dict(self.headers), body))
                time.sleep(server.deaf)
                if server.drop > 0:
                    server.drop -= 1
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                semgan = self.path.startswith("/semgan/") and server.check
                semgan = semgan and not DATASTORE.match(self.path)
                if semgan:
                    server.errors += request_errors(self.command, self.path, kind, body)
                denied = server.denied(self.path, self.headers)
                status, content = denied or server.reply(self.command, self.path, self.headers, body, kind)
                broken = [one for one in server.unanswered if re.fullmatch(one, f"{self.command} {self.path}")]
                if broken:
                    server.unanswered.remove(broken[0])
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                if semgan and status < 400:
                    server.errors += response_errors(self.command, self.path, status, data)
                self.send_response(status)
                name = "application/octet-stream" if isinstance(content, bytes) else "application/json"
                name = "text/html" if content == REPORT else name
                self.send_header("Content-Type", name)
                if "/datastore/image" in self.path and isinstance(content, bytes):
                    image = parse_qs(urlsplit(self.path).query)["image"][0]
                    suffix = server.images[image][0]
                    self.send_header("Content-Disposition", f'attachment; filename="{image}{suffix}"')
                for header, value in server.further_headers(self.command, self.path).items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

        return Handler

    def denied(self, target: str, headers: Any) -> tuple[int, Any] | None:
        """Answer whoever has no right to ask."""
        if self.key and headers.get("X-API-Key", "") != self.key:
            return 401, {"detail": "wrong key"}
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if self.login is not None and token not in self.tokens and not target.startswith("/auth/"):
            return 401, {"detail": "log in: the token is missing, wrong or expired"}
        return None

    def further_headers(self, method: str, target: str) -> dict[str, str]:
        """List headers of an answer beside the usual ones."""
        return {}

    def keep(self, target: str, body: bytes) -> None:
        """Keep what has come of a part before the connection broke."""
        self.parts[urlsplit(target).path.rsplit("/", 1)[1]][1].extend(body)

    def reply(self, method: str, target: str, headers: Any, body: bytes, kind: str) -> tuple[int, Any]:
        """Answer with status and content."""
        if self.status:
            return self.status, {"detail": "told to fail"}
        for pattern, status in self.status_at.items():
            if re.fullmatch(pattern, f"{method} {target}"):
                return status, {"detail": "told to fail here"}
        parts = urlsplit(target)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            if words[0] == "auth":
                return self._log_in(words, body)
            if words[0] == "semgan":
                return self._semgan(method, words[1:], query, body, headers.get("X-SemGAN-Client", ""))
            if words[0] == "batch":
                return self._batch(method, body)
            return self._store(method, words, query, body, kind)
        except KeyError as error:
            return 404, {"detail": f"unknown: {error}"}

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

    def _semgan(
        self, method: str, words: list[str], query: dict[str, str], body: bytes, client: str
    ) -> tuple[int, Any]:
        if words == ["health"]:
            return 200, {**HEALTH, **self.health}
        if words == ["models"]:
            return 200, {"models": [MODEL_INFO]}
        if words[0] == "uploads":
            return self._uploads(method, words[1:], query, body)
        if words == ["jobs"]:
            listed = sorted(self.jobs.values(), key=lambda job: -job["created"])
            if method == "GET":
                return 200, {"jobs": [self._shown(job, client) for job in listed]}
            job = self._begin(body)
            self.clients[job["id"]] = client
            return 201, self._shown(job, client)
        if words[0] != "jobs":  # an older server
            return 404, {"detail": "Not Found"}
        job = self.jobs[words[1]]
        owner = self.clients.get(words[1], "")
        if owner and owner != client and (method == "DELETE" or words[2:] == ["cancel"]):
            return 403, {"detail": "this job belongs to somebody else"}
        if len(words) == 2 and method == "DELETE":
            del self.jobs[words[1]]
            return 204, b""
        if len(words) == 2:
            return 200, self._shown(self._advance(job), client)
        if words[2] == "corrections":
            return self.reply_to_corrections(method, job, words[3:], body)
        if words[2] == "cancel":
            if job["state"] in ("done", "failed"):
                return 409, {"detail": "the job has ended"}
            if not self.stubborn:
                job.update(state="cancelled", message="cancelled")
            return 200, self._shown(job, client)
        if job["result_version"] == 0:
            return 409, {"detail": "no result yet"}
        return 200, self._result(job) if len(words) == 3 else self._part(job, words[3])

    def _shown(self, job: dict[str, Any], client: str) -> dict[str, Any]:
        owner = self.clients.get(job["id"], "")
        return json.loads(json.dumps({**job, "mine": (owner == client) if owner else None}))

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

    def _begin(self, body: bytes) -> dict[str, Any]:
        request = json.loads(body)
        grid = self._source(request)
        job = {"id": secrets.token_hex(16), "state": "queued", "request": request, "created": time.time()}
        job["position"] = 0
        job.update(result_version=0, parts=[], step=0, steps=4, slices=grid.array.shape[0], loss=[], message="waiting")
        self.jobs[job["id"]] = job
        return job

    def _source(self, request: dict[str, Any]) -> Grid:
        if "image" in request:
            return decode(self.images[request["image"]][1])
        return self.uploads[request["upload"]]

    def _advance(self, job: dict[str, Any]) -> dict[str, Any]:
        """Take one step for every look at a job."""
        if job.get("corrects"):
            return self.advance_correction(job)
        if job["state"] == "queued":
            job.update(state="running", position=None, message="inverting")
        elif job["state"] == "running" and self.fail:
            job.update(state="failed", message=self.fail)
        elif job["state"] == "running" and job["result_version"] < self._versions(job):
            job["result_version"] += 1
            job["step"] += 1
            job["loss"].append(1.0 / job["step"])
            job.update(slices_converged=job["step"], eta_seconds=2.5, parts=["label"])
        elif job["state"] == "running" and not self.hold:
            parts = ["label", "report", "uncertainty"]
            if job["request"]["mode"] != "preview":
                parts += ["reconstruction", "residual"]
            job.update(state="done", message="done", parts=parts, step=job["steps"], eta_seconds=0.0)
            job["result_version"] += 1
        return job

    def label_now(self, job: dict[str, Any]) -> np.ndarray:
        """Find the label map of a job as it is now."""
        if job.get("corrects"):
            return self.corrected_label(job)
        return self.label_of(self.grid_of(self._source(job["request"])).array)

    def _versions(self, job: dict[str, Any]) -> int:
        return 0 if job["request"]["mode"] == "preview" else self.versions

    def _result(self, job: dict[str, Any]) -> dict[str, Any]:
        grid = self.grid_of(self._source(job["request"]))
        label = self.label_now(job)
        wanted = job["request"].get("labels")
        labels = [entry for entry in LABELS if wanted is None or entry["name"] in wanted]
        voxel = abs(np.linalg.det(grid.affine[:3, :3])) / 1000
        depth = grid.array.shape[0]
        centres = [(grid.affine @ [0, 0, k, 1])[:3].tolist() for k in range(depth)]
        preview = job["request"]["mode"] == "preview"
        return {
            "job": job["id"],
            "version": job["result_version"],
            "partial": job["state"] != "done",
            "mode": job["request"]["mode"],
            "modality": "CT",
            "labels": labels,
            "volumes_ml": {entry["name"]: float((label == entry["id"]).sum() * voxel) for entry in labels},
            "shape": list(grid.array.shape[::-1]),
            "affine": grid.affine.tolist(),
            "slice_centres": centres,
            "residual_per_slice": None if preview else [float(k) for k in range(depth)],
            "doubt_per_slice": [k / depth for k in range(depth)],
            "domain": self.domain,
            "findings": self.remarks.get(job["id"], []),
            "model": MODEL,
            "parts": job["parts"],
            "research_only": "Research use only, not for clinical use",
        }

    def _part(self, job: dict[str, Any], part: str) -> bytes:
        if part not in job["parts"]:
            raise KeyError(part)
        grid = self.grid_of(self._source(job["request"]))
        if part == "report":
            return REPORT
        if part == "label":
            array: np.ndarray = self.label_now(job)
        else:
            array = (grid.array * {"reconstruction": 1.0, "residual": 0.1, "uncertainty": 0.001}[part]).astype("f4")
        return encode(Grid(array, grid.affine))

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


def read_form(body: bytes, kind: str) -> dict[str, tuple[str, bytes]]:
    """Read a multipart form: file name and content by field."""
    from email import message_from_bytes

    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename() or "",
            part.get_payload(decode=True),  # type: ignore[misc]
        )
        for part in message.get_payload()  # type: ignore[union-attr]
    }


ENDED = ("done", "cancelled", "interrupted", "failed")
REPORT = b"<html>Research use only</html>"
HEALTH = {
    "product": "monai_semgan",
    "version": "0.9.0",
    "api": "1.2",
    "ready": True,
    "workers": [{"device": "cpu", "state": "ready"}],
    "queued": 0,
    "uptime_seconds": 12.0,
    "disk_bytes": 0,
    "disk_limit_bytes": 10**10,
    "upload_limit_bytes": 10**9,
    "keep_seconds": 86400.0,
    "upload_keep_seconds": 3600.0,
    "research_only": "Research use only, not for clinical use",
}
MODEL_INFO = {
    **MODEL,
    "description": "Organs in CT and MRI",
    "bytes": 1000,
    "modalities": ["CT"],
    "slice_axis": [0.0, 0.0, 1.0],
    "labels": LABELS,
    "modes": [
        {"name": "preview", "description": "student", "seconds": 1.5},
        {"name": "invert", "description": "encoder and inversion", "steps": 4},
        {"name": "refine", "description": "preview and inversion", "steps": 4},
    ],
    "research_only": "Research use only, not for clinical use",
}
