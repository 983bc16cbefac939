"""A server on loopback that answers as the document says, keeps what it was asked, and fails when told to."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension import server_answers
from tests.slicer_extension.correcting_server import CorrectingServer
from tests.slicer_extension.loopback import QuietServer, handler_of
from tests.slicer_extension.storing_server import StoringServer
from tests.slicer_extension.uploading_server import UploadingServer


@dataclass
class FakeServer(CorrectingServer, UploadingServer, StoringServer):
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
    label_of: Callable[[np.ndarray], np.ndarray] = server_answers.segment
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
        self._server = QuietServer(("127.0.0.1", port), handler_of(self))
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

    def _semgan(
        self, method: str, words: list[str], query: dict[str, str], body: bytes, client: str
    ) -> tuple[int, Any]:
        if words == ["health"]:
            return 200, {**server_answers.HEALTH, **self.health}
        if words == ["models"]:
            return 200, {"models": [server_answers.MODEL_INFO]}
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
        labels = [entry for entry in server_answers.LABELS if wanted is None or entry["name"] in wanted]
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
            "model": server_answers.MODEL,
            "parts": job["parts"],
            "research_only": "Research use only, not for clinical use",
        }

    def _part(self, job: dict[str, Any], part: str) -> bytes:
        if part not in job["parts"]:
            raise KeyError(part)
        grid = self.grid_of(self._source(job["request"]))
        if part == "report":
            return server_answers.REPORT
        if part == "label":
            array: np.ndarray = self.label_now(job)
        else:
            array = (grid.array * {"reconstruction": 1.0, "residual": 0.1, "uncertainty": 0.001}[part]).astype("f4")
        return encode(Grid(array, grid.affine))
