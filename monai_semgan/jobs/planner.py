"""From requests to tasks of workers; requests that make no sense are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from monai_semgan.bundle.modes import STUDENT_ALONE
from monai_semgan.errors import SemganError
from monai_semgan.inference.segmentation import parse_labels
from monai_semgan.inversion.objectives.registry import OBJECTIVES
from monai_semgan.jobs.contract import Job, JobRequest
from monai_semgan.jobs.estimates import Kind
from monai_semgan.jobs.job_entries import Origin, Turn
from monai_semgan.jobs.job_errors import JobError, Unknown, in_words
from monai_semgan.jobs.models import ServedModel
from monai_semgan.jobs.scan_checks import check_scan
from monai_semgan.jobs.workers.messages import Task

FindImage = Callable[[str], "Path | None"]


class TaskPlanner:
    """Knows what requests mean.

    Args:
        models: by name, the default one first.
        find_image: file of an image of the datastore by id.
        find_upload: file of an upload by id.
        results: folder for the results of a job by id.
        python: interpreter that reads scans.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        find_image: FindImage,
        find_upload: Callable[[str], Path],
        results: Callable[[str], Path],
        python: str,
    ) -> None:
        self.models, self.find_image, self.find_upload = models, find_image, find_upload
        self.results, self.python = results, python

    def check(self, request: JobRequest) -> tuple[JobRequest, Path]:
        """Return the request with the model that it means, and its scan.

        Raises:
            JobError: if something in it is unknown or makes no sense.
        """
        model = self._model(request)
        self._label_ids(request, model)
        _check_mode(request, model)
        _check_objective(request)
        path = self.source(request)
        self._check_range(request, path)
        return request.model_copy(update={"model": model.info.name}), path

    def default_steps(self) -> dict[Kind, int]:
        """Return the steps of every model's modes that have any."""
        modes = ((name, mode) for name, model in self.models.items() for mode in model.info.modes)
        return {(name, mode.name): mode.steps for name, mode in modes if mode.steps}

    def task(self, job: Job, origin: Origin) -> Task:
        """Return what a worker needs to know.

        Raises:
            JobError: if the scan is gone.
        """
        request = job.request
        model = self._model(request)
        try:
            image = self.source(request)
        except Unknown:
            raise JobError("the scan was removed or renamed before the job began; choose it anew") from None
        return Task(
            job=job.id,
            image=str(image),
            results=str(self.results(job.id)),
            bundle=str(model.folder),
            model=model.info.name,
            mode=request.mode.value,
            labels=tuple(self._label_ids(request, model)),
            modality=request.modality,
            steps=request.steps,
            objective=request.objective,
            slice_range_mm=request.slice_range_mm,
            report=origin.report,
            quick=origin.turn is Turn.preview,
            image_state=origin.image_state,
        )

    def _model(self, request: JobRequest) -> ServedModel:
        if request.model is None:
            return next(iter(self.models.values()))
        if request.model not in self.models:
            raise Unknown(f"unknown model; this server has {', '.join(self.models)}")
        return self.models[request.model]

    def _label_ids(self, request: JobRequest, model: ServedModel) -> list[int]:
        try:
            return parse_labels(request.labels, model.labels) if request.labels else list(model.labels)
        except SemganError as error:
            raise JobError(in_words(error)) from error

    def source(self, request: JobRequest) -> Path:
        """Return the scan of a request.

        Raises:
            Unknown: if it is not there.
        """
        if request.upload is not None:
            return self.find_upload(request.upload)
        path = self.find_image(str(request.image))
        if path is None or not Path(path).exists():
            raise Unknown("unknown image; list the ids with GET /datastore/")
        return Path(path)

    def _check_range(self, request: JobRequest, path: Path) -> None:
        if request.slice_range_mm is None:
            return
        low, high = check_scan(path, self.python).heights
        if request.slice_range_mm[1] < low or request.slice_range_mm[0] > high:
            raise JobError(f"slice_range_mm lies outside the volume, which reaches from {low:.1f} to {high:.1f} mm")


def _check_mode(request: JobRequest, model: ServedModel) -> None:
    known = [mode.name for mode in model.info.modes]
    if request.mode not in known:
        raise JobError(f"mode {request.mode.value} is not for this model, which holds {STUDENT_ALONE}")


def _check_objective(request: JobRequest) -> None:
    known = ("auto", *OBJECTIVES)
    if request.objective is not None and request.objective not in known:
        raise JobError(f"unknown objective; use {', '.join(known)}")
