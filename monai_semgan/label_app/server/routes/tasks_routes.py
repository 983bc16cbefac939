"""`/batch/infer`, `/scoring` and `/train`: work in the background, with MONAI Label's status.

MONAI Label starts a process with a second model for each; here they use the model that is there, and trainings are
those of the job API.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType

from monai_semgan.jobs.api.callers import asker_of
from monai_semgan.jobs.api.own_threads import OwnThreads
from monai_semgan.jobs.ownership import SERVER, Asker
from monai_semgan.label_app.interactive_tasks import CorrectingTask
from monai_semgan.label_app.server.background import Background, Task
from monai_semgan.label_app.server.routes.shared import (
    ADMIN,
    ANNOTATOR,
    USER,
    check_image_id,
    check_tag_and_labels,
    known_name,
    running_app,
)
from monai_semgan.label_app.stock_trainers import stock_status

if TYPE_CHECKING:
    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.training_service import TrainingService

router = APIRouter()

Who = Annotated[Asker, Depends(asker_of)]

WAITED_FOR = OwnThreads(4, 16, "batches and scorings that are waited for")
"""Those with `run_sync`."""


def _batch(request: dict[str, Any], task: Task) -> Any:
    app: Any = running_app()
    with app.stoppable(lambda: task.stopped, task.asker):
        return app.run_batch(request, task.report, task.note_failure)


def _score(request: dict[str, Any], task: Task) -> Any:
    app: Any = running_app()
    with app.stoppable(lambda: task.stopped, task.asker):
        return app.run_scoring(request, task.report)


batches, scorings = Background(_batch), Background(_score)


def score_again() -> None:
    """Score anew what has scores of another model, behind all jobs: the next sample is chosen by what is in use."""

    def look() -> None:
        app: Any = running_app()
        for method in app.methods_to_repeat():
            scorings.start({"method": method}, SERVER, enqueue=True)

    threading.Thread(target=look, daemon=True).start()  # there may be thousands of images


@router.get("/batch/infer", tags=["Infer"], dependencies=[USER], summary="Get Status of Batch Inference Task")
def batch_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Tell how far the last batch is."""
    return _status(batches, "batch", all, check_if_running)


@router.post("/batch/infer/{model}", tags=["Infer"], dependencies=[ADMIN], summary="Run Batch Inference Task")
async def run_batch(
    model: str,
    asker: Who,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: dict[str, Any] | None = None,
    run_sync: bool = False,
) -> Any:
    """Segment many images of the datastore and save the labels."""
    app: Any = running_app()
    alone = [name for name, task in app._infers.items() if not isinstance(task, CorrectingTask)]
    known_name(model, alone, "model that segments without a reader")
    request = {**_checked(params or {}), "model": model}
    request.setdefault("images", images.value)
    if run_sync:
        return await WAITED_FOR.run(batches.run_now, request, asker)
    return _started(batches.start(request, asker), "batch")


@router.delete("/batch/infer", tags=["Infer"], dependencies=[ADMIN], summary="Stop Batch Inference Task")
def stop_batch(asker: Who) -> Any:
    """Stop the batch; what it has saved stays."""
    return _told(batches.stop(asker))


@router.get("/scoring/", tags=["Scoring"], dependencies=[USER], summary="Get Status of Scoring Task")
def scoring_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Tell how far scoring is."""
    return _status(scorings, "scoring", all, check_if_running)


@router.post("/scoring/", tags=["Scoring"], dependencies=[ANNOTATOR], include_in_schema=False)
async def run_all_scorings(asker: Who, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Run every method."""
    chosen = {method: (params or {}).get(method) or {} for method in running_app().info()["scoring"]}
    wrong = [method for method, own in chosen.items() if not isinstance(own, dict)]
    if wrong:
        raise HTTPException(422, f"the parameters of {', '.join(wrong)} are no JSON object")
    results = {method: await run_scoring(method, asker, own, run_sync) for method, own in chosen.items()}
    return {method: {"result": result, "detail": None} for method, result in results.items()}


@router.post(
    "/scoring/{method}", tags=["Scoring"], dependencies=[ANNOTATOR], summary="Run Scoring Task for specific method"
)
async def run_scoring(method: str, asker: Who, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Run one method."""
    known_name(method, running_app().info()["scoring"], "scoring method")
    request = {**(params or {}), "method": method}
    check_tag_and_labels(request)
    if run_sync:
        return await WAITED_FOR.run(scorings.run_now, request, asker)
    return _started(scorings.start(request, asker, enqueue=True), "scoring")


@router.delete("/scoring/", tags=["Scoring"], dependencies=[ANNOTATOR], summary="Stop Scoring Task")
def stop_scoring(asker: Who) -> Any:
    """Stop scoring."""
    return _told(scorings.stop(asker))


@router.get("/train/", tags=["Train"], dependencies=[USER], summary="Get Status of Training Task")
def training_status(asker: Who, all: bool = False, check_if_running: bool = False) -> Any:
    """Tell how far the last training is."""
    found = trainings().trainings(asker).trainings
    if check_if_running:
        found = [one for one in found if one.finished is None][-1:]
    if not found:
        raise HTTPException(404, "no training is running" if check_if_running else "there was no training yet")
    return [stock_status(one) for one in found] if all and not check_if_running else stock_status(found[0])


@router.post("/train/", tags=["Train"], dependencies=[ADMIN], include_in_schema=False)
def train_all(params: dict[str, Any] | None = None) -> None:
    """Refuse to run every trainer: one is chosen by name."""
    known_name("", running_app().info()["trainers"], "model to train")


@router.post("/train/{model}", tags=["Train"], dependencies=[ADMIN], summary="Run Training Task for specific model")
def train(
    model: str, asker: Who, params: dict[str, Any] | None = None, run_sync: bool = False, enqueue: bool = False
) -> Any:
    """Begin a training; it goes on in the background, whatever `run_sync` says."""
    known_name(model, running_app().info()["trainers"], "model to train")
    trainer: Any = running_app()._trainers[model]
    busy = any(one.finished is None for one in trainings().trainings().trainings)
    if busy and not enqueue:
        raise HTTPException(429, "a training is running already; try again later")
    return stock_status(trainer.start(params or {}, asker))


@router.delete("/train/", tags=["Train"], dependencies=[ADMIN], summary="Stop Training Task")
def stop_training(asker: Who) -> Any:
    """Stop the training that runs; the model stays as it is."""
    found = [one for one in trainings().trainings().trainings if one.finished is None]
    return stock_status(trainings().cancel(found[-1].id, asker)) if found else None


def trainings() -> TrainingService:
    """Return the trainings of the app that serves."""
    service: JobService = running_app().service  # type: ignore[attr-defined]
    return service.training


def _checked(params: dict[str, Any]) -> dict[str, Any]:
    check_tag_and_labels(params)
    size, images = params.get("max_batch_size"), params.get("images")
    if size is not None and (type(size) is not int or size < 0):
        raise HTTPException(422, "max_batch_size is not a whole number")
    names = sorted(kind.value for kind in BatchInferImageType)
    if isinstance(images, list) and all(isinstance(image, str) for image in images):
        for image in images:
            check_image_id(image)
    elif images is not None and images not in names:
        raise HTTPException(422, f"images is neither a list of ids nor one of {', '.join(names)}")
    return params


def _started(task: Task | None, kind: str) -> dict[str, Any]:
    if task is None:
        raise HTTPException(429, f"a {kind} is running already, and no further one is taken; try again later")
    return task.status()


def _told(task: Task | None) -> dict[str, Any] | None:
    return task.status() if task is not None else None


def _status(work: Background, kind: str, all: bool, check_if_running: bool) -> Any:
    tasks = work.running() if check_if_running else work.tasks
    if not tasks:
        raise HTTPException(404, f"no {kind} is running" if check_if_running else f"there was no {kind} yet")
    if all and not check_if_running:
        return [task.status() for task in tasks]
    return tasks[0].status() if check_if_running else tasks[-1].status()
