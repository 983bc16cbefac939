"""A server on loopback that learns from labels: a step for every look, and a version of the model at the end."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tests.slicer_extension.fake_server import FakeServer
from tests.slicer_extension.server_answers import ENDED

SHIPPED = {"version": 0, "parent": None, "kind": "shipped", "created": 1.7e9, "sha256": "ab" * 32}


@dataclass
class TrainingServer(FakeServer):
    """See `FakeServer`.

    Attributes:
        labelled: images by structure that final labels hold.
        trainings: by id, in order of their beginning.
        made: versions of the model; `current` is in use.
        held: trainings do not end by themselves.
    """

    labelled: dict[str, list[str]] = field(default_factory=lambda: {"liver": ["a", "b"], "aorta": ["a"]})
    trainings: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=lambda: [{**SHIPPED, "structures": ["liver"]}])
    current: int = 0
    held: bool = False

    def begins(self, structure: str, state: str = "running") -> str:
        """Behave as if somebody had begun a training."""
        request = {"kind": "structure", "structures": [{"name": structure}], "seconds": 300.0}
        return str(self._train(request, state)["id"])

    def _semgan(
        self, method: str, words: list[str], query: dict[str, str], body: bytes, client: str
    ) -> tuple[int, Any]:
        if words[0] == "train":
            return self._training(method, words[1:], body)
        if words[0] == "models" and len(words) == 3:
            if words[2] == "current":
                self.current = json.loads(body)["version"]
            return 200, {"model": words[1], "current": self.current, "versions": self.made}
        return super()._semgan(method, words, query, body, client)

    def _training(self, method: str, words: list[str], body: bytes) -> tuple[int, Any]:
        if not words and method == "GET":
            return 200, {"trainings": list(reversed(self.trainings.values()))}
        if not words:
            request = json.loads(body)
            missing = [one["name"] for one in request.get("structures", []) if one["name"] not in self.labelled]
            if missing:
                return 422, {"detail": f"no final label holds {missing[0]}; the labels hold {', '.join(self.labelled)}"}
            return 201, self._train(request)
        if words == ["labels"]:
            structures = [
                {"name": name, "label": index + 1, "known": name == "liver", "images": images}
                for index, (name, images) in enumerate(self.labelled.items())
            ]
            return 200, {"model": "semgan_abdomen", "images": ["a", "b"], "structures": structures}
        training = self.trainings[words[0]]
        if words[1:] == ["cancel"]:
            training["state"] = "cancelled"
        elif words[1:] == ["resume"]:
            training["state"] = "running"
        elif training["state"] not in ENDED:
            self._learn(training)
        return 200, training

    def _train(self, request: dict[str, Any], state: str = "running") -> dict[str, Any]:
        names = [one["name"] for one in request.get("structures", [])]
        training = {
            "id": secrets.token_hex(16),
            "state": state,
            "kind": request["kind"],
            "model": "semgan_abdomen",
            "structures": names,
            "images": ["a", "b"],
            "held_out": ["b"],
            "seconds": request["seconds"],
            "step": 0,
            "steps": 3,
            "eta_seconds": 20.0,
            "message": "learning",
            "created": time.time(),
            "figures": {},
        }
        self.trainings[training["id"]] = training
        return training

    def _learn(self, training: dict[str, Any]) -> None:
        training["step"] = min(training["step"] + 1, 2)
        if training["step"] == 2 and not self.held:
            version = {**SHIPPED, "version": len(self.made), "parent": self.current, "kind": training["kind"]}
            self.made.append({**version, "structures": training["structures"], "figures": {"aorta": 0.713}})
            self.current = len(self.made) - 1
            message = f"version {self.current} of the model is in use; the Dice of liver was 0.951"
            training.update(state="done", message=message, step=3, version=self.current, eta_seconds=None)
            training.update(figures={"aorta": 0.713, "liver": 0.95})
