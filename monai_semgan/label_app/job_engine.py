"""The worker of the job API as engine of the infer tasks: one model in memory, and none in the server's process."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job, JobRequest, Mode, Part, Result, State, VolumeFormat
from monai_semgan.jobs.job_entries import Turn
from monai_semgan.jobs.job_errors import Conflict, JobError, NotReady, Unknown
from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.label_app.infer import Engine
from monai_semgan.label_app.infer_request import InferRequest
from monai_semgan.outputs.description import FACTS

if TYPE_CHECKING:
    from monai_semgan.jobs.service import JobService

MAPS = (Part.reconstruction, Part.residual, Part.uncertainty)
FORMATS = {f".{form.value}": form for form in VolumeFormat}
FIRST_LOOK, LONGEST_LOOK = 0.02, 0.25
"""Seconds between two looks at a job: short ones first, since a preview is."""


class SharedEngine:
    """What the tasks of an app use: this process, until the job API's worker takes over.

    Args:
        first: the engine to begin with.
    """

    def __init__(self, first: Engine) -> None:
        self.labels = first.labels
        self._engine = first

    def use(self, engine: Engine) -> None:
        """Let another one do the work from now on."""
        self._engine = engine

    def segment(self, image: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        """See `Engine.segment`."""
        return self._engine.segment(image, request)


class JobEngine:
    """Segments by jobs that are removed when their results have been fetched.

    Args:
        labels: organ name by id.
    """

    def __init__(self, labels: dict[int, str]) -> None:
        self.labels = labels
        self.service: JobService | None = None
        self._files: dict[str, Path] = {}
        self._kept: dict[str, str] = {}
        self._local = threading.local()

    def find(self, image: str) -> Path | None:
        """Return the file that a job of this engine works on, by the name that it has there."""
        return self._files.get(image)

    @property
    def files(self) -> list[Path]:
        """Files that its jobs work on, or may be corrected on."""
        return list(self._files.values())

    @contextlib.contextmanager
    def stoppable(self, stop: Callable[[], bool], asker: Asker = NOBODY) -> Iterator[None]:
        """Within the block, what this thread segments is cancelled as soon as `stop` says so.

        Args:
            stop: asked again and again.
            asker: whose the jobs are meanwhile.
        """
        self._local.stop, self._local.asker = stop, asker
        try:
            yield
        finally:
            self._local.stop, self._local.asker = None, NOBODY

    @contextlib.contextmanager
    def giving_way(self) -> Iterator[None]:
        """Within the block, what this thread segments is put off whenever a job of somebody else waits."""
        with self._taking(Turn.spare):
            yield

    @contextlib.contextmanager
    def queueing(self) -> Iterator[None]:
        """Within the block, previews of this thread wait for inversions, as those of batches: nobody looks at them."""
        with self._taking(Turn.ordinary):
            yield

    @contextlib.contextmanager
    def _taking(self, turn: Turn) -> Iterator[None]:
        self._local.turn = turn
        try:
            yield
        finally:
            self._local.turn = None

    def segment(self, image: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        """Segment a file by a job, and wait for it.

        Raises:
            SemganError: the image cannot be read, a value makes no sense, or the job was cancelled.
            JobError: the queue or the disk is full, or the server is stopping.
        """
        assert self.service is not None, "the service comes with `use_jobs`"
        while True:
            with contextlib.suppress(_GaveWay):
                return self._attempt(self.service, image, request)
            while self.service.scheduler.waiting:
                self._check_stopped()
                time.sleep(LONGEST_LOOK)

    @property
    def asker(self) -> Asker:
        """Whose the jobs of this thread are."""
        asker: Asker = getattr(self._local, "asker", NOBODY)
        return asker

    def keep(self, image: str, request: InferRequest) -> str:
        """Segment a file by a job that stays until `release`, so that it can be corrected.

        Returns:
            Id of the job.

        Raises:
            SemganError, JobError: as `segment`.
        """
        assert self.service is not None, "the service comes with `use_jobs`"
        name = f"infer-{secrets.token_hex(8)}"
        self._files[name] = Path(image)
        try:
            job = self._submit(self.service, name, request)
            self._wait(self.service, job)
        except BaseException:
            del self._files[name]
            raise
        self._kept[job] = name
        return job

    def release(self, job: str) -> None:
        """Remove a job that was kept, with its corrections."""
        self._files.pop(self._kept.pop(job, ""), None)
        if self.service is not None:
            self.service.remove(job)

    def wait(self, job: str) -> None:
        """Wait for a job's end, and cancel it if nobody waits any more.

        Raises:
            SemganError: it did not end well.
            NotReady: the server is stopping.
        """
        assert self.service is not None, "the service comes with `use_jobs`"
        self._wait(self.service, job)

    def collect(self, job: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        """Return a file with the label of a job, and the facts; see `Engine.segment`."""
        assert self.service is not None, "the service comes with `use_jobs`"
        return self._collect(self.service, job, request)

    def _attempt(self, service: JobService, image: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        name = f"infer-{secrets.token_hex(8)}"
        self._files[name] = Path(image)
        try:
            job = self._submit(service, name, request)
            try:
                self._wait(service, job)
                return self._collect(service, job, request)
            finally:
                with contextlib.suppress(Unknown):
                    service.remove(job)
        finally:
            del self._files[name]

    def _submit(self, service: JobService, name: str, request: InferRequest) -> str:
        labels = list(request.labels) or None
        asked = JobRequest(image=name, mode=Mode(request.mode), steps=request.steps, labels=labels, client="infer")
        try:
            return service.submit(asked, self.asker, report=False, turn=self._turn).id
        except JobError as error:
            if error.status == JobError.status:
                raise SemganError(error.detail) from error
            raise

    def _wait(self, service: JobService, job: str) -> None:
        pause, gave_way = FIRST_LOOK, False
        while (state := _looked_at(service, job)).finished is None:
            gave_way = gave_way or self._must_give_way(service, state)
            if gave_way or self._stopped():
                with contextlib.suppress(Conflict):
                    service.cancel(job)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)
        self._check_stopped()
        if gave_way and state.state is State.cancelled:
            raise _GaveWay
        if state.state is State.interrupted:
            raise NotReady("the server is stopping")
        if state.state is not State.done:
            raise SemganError(state.message or "the inference did not end well")

    @property
    def _turn(self) -> Turn | None:
        """Turn of what this thread segments; None for that of its mode."""
        turn: Turn | None = getattr(self._local, "turn", None)
        return turn

    def _stopped(self) -> bool:
        stop = getattr(self._local, "stop", None)
        return stop is not None and bool(stop())

    def _check_stopped(self) -> None:
        if self._stopped():
            raise SemganError("cancelled")

    def _must_give_way(self, service: JobService, job: Job) -> bool:
        """Tell whether the job holds the worker while others wait; one in the queue itself has nothing to give."""
        in_queue, others = job.state is State.queued, service.scheduler.waiting > 0
        return self._turn is Turn.spare and others and not in_queue

    def _collect(self, service: JobService, job: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        result = service.results.newest(job)
        folder = Path(tempfile.mkdtemp(prefix="semgan_"))
        label = folder.with_name(f"{folder.name}{request.extension}")
        try:
            _fetch_label(service, result, label)
            params = describe_result(result)
            if request.maps:
                for part in (part for part in MAPS if part in result.parts):
                    _fetch(service, job, part, folder / f"{part.value}.nii.gz")
                params["maps_folder"] = str(folder)
            else:
                folder.rmdir()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            label.unlink(missing_ok=True)
            raise
        return str(label), params


class _GaveWay(Exception):
    """A job was put off."""


def describe_result(result: Result) -> dict[str, Any]:
    """Return a job's result as `outputs.description.describe` tells it."""
    facts = result.model_dump(mode="json")
    return {
        "label_names": {label.name: label.id for label in result.labels},
        "label_colors": {label.name: list(label.colour) for label in result.labels},
        **{name: facts[name] for name in (*FACTS, "latencies")},
    }


def _looked_at(service: JobService, job: str) -> Job:
    try:
        return service.job(job)
    except Unknown:
        raise SemganError("the inference was removed by somebody") from None


def _fetch_label(service: JobService, result: Result, path: Path) -> None:
    """Write the label in the format that the path's ending names."""
    from monai_semgan.io.reading import read_label
    from monai_semgan.io.writing import write_label
    from monai_semgan.organs import Segments

    ending = "".join(path.suffixes)
    if ending in FORMATS:
        _fetch(service, result.job, Part.label, path, FORMATS[ending])
        return
    stored = path.with_name(f"{path.name}.nii.gz")
    try:
        _fetch(service, result.job, Part.label, stored)
        label = read_label(stored)
        names = {one.id: one.name for one in result.labels}
        write_label(label.array, label, path, Segments(names, result.model.name, ""))
    finally:
        stored.unlink(missing_ok=True)


def _fetch(service: JobService, job: str, part: Part, path: Path, form: VolumeFormat = VolumeFormat.nifti) -> None:
    stream, _, _ = service.results.open_part(job, part, form)
    with stream, path.open("wb") as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
