"""Corrections at the server of the tests: a stroke is drawn in its own slices and in those within its reach."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import numpy as np

from tests.slicer_extension import server_answers

RUNNING = ("queued", "running")


class CorrectingServer:
    """Part of the server. A job takes a step with every look: touched slices first, then all within reach.

    Attributes:
        joins: corrections that wait together are computed together.
        refuses_corrections: status and words that the next requests are answered with, one after the other.
        fail_correction: why the next correction fails; empty if it does not.
        hold_corrections: they stay after their first result until this is False again.
        asked_corrections: requests so far, with the state that each was made on.
        labels_of: label maps of corrections that have ended, by job.
        histories: of the jobs that were corrected.
        remarks: findings of corrections, by job.
        say: findings of the next correction.
    """

    joins = False
    fail_correction = ""
    hold_corrections = False

    def __post_init__(self) -> None:
        self.refuses_corrections: list[tuple[int, str]] = []
        self.asked_corrections: list[dict[str, Any]] = []
        self.labels_of: dict[str, np.ndarray] = {}
        self.histories: dict[str, dict[str, Any]] = {}
        self.remarks: dict[str, list[dict[str, Any]]] = {}
        self.say: list[dict[str, Any]] = []

    def reply_to_corrections(self, method: str, job: dict[str, Any], words: list[str], body: bytes) -> tuple[int, Any]:
        """Answer what is asked of the corrections of a job."""
        root = self.jobs[job["corrects"]] if job.get("corrects") else job
        history = self.histories.setdefault(root["id"], {"job": root["id"], "current": 0, "steps": []})
        if method == "GET":
            return 200, self._told(history)
        if words == ["current"]:
            return self._go_to(history, json.loads(body)["number"])
        if self.refuses_corrections:
            status, text = self.refuses_corrections.pop(0)
            return status, {"detail": text}
        return 201, self._shown(self._correct(root, history, json.loads(body)), "")

    def advance_correction(self, job: dict[str, Any]) -> dict[str, Any]:
        """Take one step."""
        waiting = [one for one in self._running(job["corrects"]) if one["state"] == "queued"]
        first = self._running(job["corrects"])[:1] == [job]
        if job["state"] == "queued" and self.joins and job in waiting[:-1]:
            job["joined"] = waiting[-1]["id"]
        if job["state"] == "queued" and (first or (self.joins and job is waiting[-1])):
            job.update(state="running", position=None, steps=2)
        elif job["state"] == "running" and self.fail_correction:
            job.update(state="failed", message=self.fail_correction)
            self.fail_correction = ""
        elif job["state"] == "running" and job["result_version"] == 0:
            job.update(result_version=1, step=1, parts=["label"])
        elif job["state"] == "running" and not self.hold_corrections:
            job.update(state="done", result_version=2, step=2, parts=["label"], message="done")
            self._end(job)
        return job

    def corrected_label(self, job: dict[str, Any]) -> np.ndarray:
        """Find the label of a correction: of its own slices at first, of all when it has ended."""
        if job["id"] in self.labels_of:
            return self.labels_of[job["id"]]
        return self._drawn(job, reach=job["state"] == "done")

    def _correct(self, root: dict[str, Any], history: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        grid = self.grid_of(self._source(root["request"]))
        assert request["shape"] == list(grid.array.shape[::-1]), "the strokes lie on the scan's grid"
        np.testing.assert_allclose(request["affine"], grid.affine, atol=1e-6)
        history["steps"] = [step for step in history["steps"] if not step["undone"]]
        ours = [job["correction"] for job in self.jobs.values() if job.get("corrects") == root["id"]]
        number = max(ours, default=0) + 1
        job = {"id": secrets.token_hex(16), "state": "queued", "request": root["request"], "created": time.time()}
        job.update(corrects=root["id"], correction=number, position=0, result_version=0, parts=[], step=0, steps=None)
        self.jobs[job["id"]] = job
        self.asked_corrections.append({**request, "on": history["current"], "job": job["id"]})
        history["steps"].append(self._step(job, request))
        self.remarks[job["id"]], self.say = self.say, []
        return job

    def _step(self, job: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        strokes = request["strokes"]
        return {
            "number": job["correction"],
            "job": job["id"],
            "state": "queued",
            "structures": [stroke["structure"] for stroke in strokes],
            "kinds": sorted({stroke["kind"] for stroke in strokes}),
            "voxels": sum(length for stroke in strokes for _first, length in stroke["runs"]),
            "reach_mm": request["reach_mm"],
            "created": job["created"],
            "undone": False,
        }

    def _end(self, job: dict[str, Any]) -> None:
        self.labels_of[job["id"]] = self._drawn(job, reach=True)
        history = self.histories[job["corrects"]]
        for one in self.jobs.values():
            if one.get("joined") == job["id"]:
                one.update(state="done", result_version=2, parts=["label"])
                self.labels_of[one["id"]] = self.labels_of[job["id"]]
        history["current"] = job["correction"]

    def _drawn(self, job: dict[str, Any], reach: bool) -> np.ndarray:
        """Draw the strokes of a correction, and of those computed with it, on the state before them."""
        root = self.jobs[job["corrects"]]
        together = [one for one in self.jobs.values() if job["id"] in (one["id"], one.get("joined"))]
        requests = {request["job"]: request for request in self.asked_corrections}
        first = requests[together[0]["id"]]
        label = self._state(root, first).copy()
        for one in together:
            _draw(label, requests[one["id"]], reach, self.grid_of(self._source(root["request"])).affine)
        return label

    def _state(self, root: dict[str, Any], request: dict[str, Any]) -> np.ndarray:
        if request.get("label"):
            return self.uploads[request["label"]].array
        history = self.histories[root["id"]]
        number = self.jobs[request["job"]]["correction"]
        done = [step for step in history["steps"] if step["number"] < number and step["job"] in self.labels_of]
        done = [step for step in done if step["number"] <= max(history["current"], 0)]
        return self.labels_of[done[-1]["job"]] if done else self.label_now(root)

    def _go_to(self, history: dict[str, Any], number: int) -> tuple[int, Any]:
        if number and number not in [step["number"] for step in history["steps"]]:
            return 409, {"detail": "there is no such correction any more"}
        for job in self._running(history["job"]):
            job.update(state="cancelled")
        history["current"] = number
        for step in history["steps"]:
            step["undone"] = step["number"] > number
        return 200, self._told(history)

    def _told(self, history: dict[str, Any]) -> dict[str, Any]:
        steps = [{**step, "state": self.jobs[step["job"]]["state"]} for step in history["steps"]]
        return {**history, "steps": steps}

    def _running(self, root: str) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if job.get("corrects") == root and job["state"] in RUNNING]


def _draw(label: np.ndarray, request: dict[str, Any], reach: bool, affine: np.ndarray) -> None:
    numbers = {entry["name"]: entry["id"] for entry in server_answers.LABELS}
    locked = np.isin(label, [numbers[name] for name in request["locked"]])
    thickness = np.linalg.norm(affine[:3, 2])
    slices = int(request["reach_mm"] // thickness) if reach else 0
    for stroke in request["strokes"]:
        mask = np.zeros(label.size, dtype=bool)
        for first, length in stroke["runs"]:
            assert first >= 0 and first + length <= label.size
            mask[first : first + length] = True
        mask = mask.reshape(label.shape)
        near = mask.copy()
        for away in range(1, slices + 1):
            near[away:] |= mask[:-away]
            near[:-away] |= mask[away:]
        number = numbers[stroke["structure"]]
        if stroke["positive"]:
            label[near & ~locked] = number
        else:
            label[near & (label == number) & ~locked] = 0
