"""What a client asks about trainings, the versions of a model, and labels that can be learnt from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from ..Types.TrainingTypes import (
    LabelledStructure,
    ModelVersion,
    ModelVersions,
    TrainingJob,
    TrainingLabels,
    TrainingRequest,
)
from .Http import Answer, Http, as_json

T = TypeVar("T")

BEGIN_SECONDS = 300.0
"""Patience while a server reads its labels, to see what they hold."""


class TrainingCalls:
    """Part of the client. Every call waits for its answer and raises `Errors.ServerError`."""

    _http: Http

    if TYPE_CHECKING:

        def _get(self, path: str) -> Any: ...

        def _json(self, answer: Answer) -> Any: ...

        def _field(self, content: Any, name: str) -> Any: ...

        def _parsed(self, kind: type[T], content: Any) -> T: ...

    def train(self, request: TrainingRequest) -> TrainingJob:
        """Begin a training.

        Raises:
            Errors.Refused: if there are no labels to learn from, or one runs already.
        """
        return self._parsed(TrainingJob, self._post("/semgan/train", request.to_json(), BEGIN_SECONDS))

    def trainings(self) -> tuple[TrainingJob, ...]:
        """List the trainings that the server knows, the newest first.

        Raises:
            Errors.Gone: if the server is older and trains nothing.
        """
        entries = self._field(self._get("/semgan/train"), "trainings")
        return tuple(self._parsed(TrainingJob, entry) for entry in entries)

    def training(self, training: str) -> TrainingJob:
        """Ask where a training stands."""
        return self._parsed(TrainingJob, self._get(_path(training)))

    def cancel_training(self, training: str) -> TrainingJob:
        """End a training; the model stays as it is."""
        return self._parsed(TrainingJob, self._post(f"{_path(training)}/cancel"))

    def resume_training(self, training: str) -> TrainingJob:
        """Let a training go on that was interrupted or failed."""
        return self._parsed(TrainingJob, self._post(f"{_path(training)}/resume", None, BEGIN_SECONDS))

    def training_labels(self, model: str) -> TrainingLabels:
        """List what the final labels hold.

        Args:
            model: name; empty for the server's first.
        """
        path = "/semgan/train/labels" + ("?" + urlencode({"model": model}) if model else "")
        content = self._json(self._http.request("GET", path, seconds=BEGIN_SECONDS))
        found = self._parsed(TrainingLabels, content)
        structures = tuple(self._parsed(LabelledStructure, entry) for entry in found.structures)
        return dataclasses.replace(found, structures=structures)

    def versions(self, model: str) -> ModelVersions:
        """List the versions of a model."""
        return self._versions(self._get(f"{_model(model)}/versions"))

    def use_version(self, model: str, version: int) -> ModelVersions:
        """Choose the version that jobs use from now on; those that run keep theirs."""
        return self._versions(self._post(f"{_model(model)}/current", {"version": version}))

    def _post(self, path: str, content: Any = None, seconds: float | None = None) -> Any:
        body = b"" if content is None else as_json(content)
        return self._json(self._http.request("POST", path, body, "application/json", seconds))

    def _versions(self, content: Any) -> ModelVersions:
        found = self._parsed(ModelVersions, content)
        versions = tuple(self._parsed(ModelVersion, entry) for entry in found.versions)
        return dataclasses.replace(found, versions=versions)


def _path(training: str) -> str:
    return f"/semgan/train/{quote(training, safe='')}"


def _model(model: str) -> str:
    return f"/semgan/models/{quote(model, safe='')}"
