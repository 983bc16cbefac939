"""Trainings of a server: what may be learnt, what is being learnt, and the versions of the models."""

from __future__ import annotations

from collections.abc import Mapping

from monai_semgan.jobs.job_errors import Conflict, Unknown
from monai_semgan.jobs.models import ServedModel
from monai_semgan.jobs.ownership import NOBODY, SERVER, Asker
from monai_semgan.jobs.train_contract import ModelVersions, Training, TrainingLabels, TrainingList, TrainRequest

NO_LABELS = "this server keeps no labels to learn from"


class TrainingService:
    """Runs trainings one at a time.

    Args:
        models: by name, the default one first.
    """

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self.models = models

    def submit(self, request: TrainRequest, asker: Asker = NOBODY) -> Training:
        """Put a training into the queue.

        Raises:
            JobError: something in the request makes no sense, or cannot be done now.
        """
        raise Conflict(NO_LABELS)

    def trainings(self, asker: Asker = NOBODY) -> TrainingList:
        """List all trainings, the newest first."""
        return TrainingList(trainings=[])

    def labels(self, model: str | None = None) -> TrainingLabels:
        """Tell what final labels hold.

        Raises:
            Unknown: there is no such model.
        """
        return TrainingLabels(model=self._model(model), images=[], structures=[])

    def training(self, training: str, asker: Asker = NOBODY) -> Training:
        """Return a training.

        Raises:
            Unknown: there is none.
        """
        raise Unknown("unknown training")

    def cancel(self, training: str, asker: Asker = SERVER) -> Training:
        """End a training; the model stays as it is."""
        return self.training(training, asker)

    def resume(self, training: str, asker: Asker = SERVER) -> Training:
        """Let a training go on that was interrupted or failed."""
        return self.training(training, asker)

    def versions(self, model: str) -> ModelVersions:
        """List the versions of a model, the oldest first."""
        return ModelVersions(model=self._model(model), current=0, versions=[])

    def use(self, model: str, version: int) -> ModelVersions:
        """Choose the version that jobs use from now on."""
        raise Unknown(f"there is no such version of {self._model(model)}")

    def _model(self, name: str | None) -> str:
        if name is None:
            return next(iter(self.models))
        if name not in self.models:
            raise Unknown(f"unknown model; this server has {', '.join(self.models)}")
        return name
