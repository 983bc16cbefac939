"""Routes of trainings, and of the versions of a model that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from monai_semgan.jobs.api.answers import errors
from monai_semgan.jobs.api.callers import ID, TEACHER, Who
from monai_semgan.jobs.train_contract import (
    ModelVersions,
    Training,
    TrainingLabels,
    TrainingList,
    TrainRequest,
    VersionChoice,
)

if TYPE_CHECKING:
    from monai_semgan.jobs.service import JobService

TrainingPath = Annotated[str, Path(description="id of a training", json_schema_extra=ID)]
ModelPath = Annotated[str, Path(description="name of a model", max_length=128)]
ModelQuery = Annotated[str | None, Query(max_length=128, description="as `/semgan/models` names it; the first if not")]


def add_training_routes(router: APIRouter, service: JobService) -> None:
    """Add the routes.

    Args:
        router: gets them.
        service: does the work.
    """
    _add_trainings(router, service)
    _add_endings(router, service)
    _add_versions(router, service)


def _add_trainings(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/train",
        operation_id="train",
        summary="Learn a new structure, or improve the model, from final labels",
        status_code=201,
        dependencies=[TEACHER],
        responses=errors(403, 404, 409, 422, 429, 503, 507),
    )
    def train(request: TrainRequest, asker: Who) -> Training:
        return service.training.submit(request, asker)

    @router.get("/train", operation_id="trainings", summary="All trainings, the newest first")
    def trainings(asker: Who) -> TrainingList:
        return service.training.trainings(asker)

    @router.get(
        "/train/labels",
        operation_id="training_labels",
        summary="What can be learnt: structures in the final labels",
        responses=errors(404, 422),
    )
    def training_labels(model: ModelQuery = None) -> TrainingLabels:
        return service.training.labels(model)

    @router.get("/train/{training}", operation_id="training", summary="How one stands", responses=errors(404, 422))
    def training(training: TrainingPath, asker: Who) -> Training:
        return service.training.training(training, asker)


def _add_endings(router: APIRouter, service: JobService) -> None:
    @router.post(
        "/train/{training}/cancel",
        operation_id="cancel_training",
        summary="End a training; the model stays as it is",
        responses=errors(403, 404, 409, 422),
    )
    def cancel_training(training: TrainingPath, asker: Who) -> Training:
        return service.training.cancel(training, asker)

    @router.post(
        "/train/{training}/resume",
        operation_id="resume_training",
        summary="Let a training go on that was interrupted or failed",
        dependencies=[TEACHER],
        responses=errors(403, 404, 409, 422, 429, 503, 507),
    )
    def resume_training(training: TrainingPath, asker: Who) -> Training:
        return service.training.resume(training, asker)


def _add_versions(router: APIRouter, service: JobService) -> None:
    @router.get(
        "/models/{model}/versions",
        operation_id="model_versions",
        summary="The versions of a model, the oldest first",
        responses=errors(404, 422),
    )
    def model_versions(model: ModelPath) -> ModelVersions:
        return service.training.versions(model)

    @router.post(
        "/models/{model}/current",
        operation_id="use_version",
        summary="Choose the version that jobs use from now on; those that run keep theirs",
        dependencies=[TEACHER],
        responses=errors(403, 404, 409, 422, 503, 507),
    )
    def use_version(model: ModelPath, choice: VersionChoice) -> ModelVersions:
        return service.training.use(model, choice.version)
