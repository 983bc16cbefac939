"""The job service: takes jobs, lets workers run them, keeps their results for a while."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_semgan import __version__
from monai_semgan.data.terminology import RESEARCH_ONLY
from monai_semgan.errors import SemganError
from monai_semgan.label_app.jobs.checking import check_scan
from monai_semgan.label_app.jobs.contract import (
    API_VERSION,
    Health,
    Job,
    JobList,
    JobRequest,
    ModelList,
    Part,
    Result,
    State,
    Upload,
    VolumeFormat,
)
from monai_semgan.label_app.jobs.logs import log_without_values
from monai_semgan.label_app.jobs.messages import Task
from monai_semgan.label_app.jobs.models import ServedModel, served_models
from monai_semgan.label_app.jobs.pool import WorkerPool, worker_command
from monai_semgan.label_app.jobs.refusals import Conflict, NoRoom, NotReady, QueueFull, Refusal, Unknown, in_words
from monai_semgan.label_app.jobs.result_files import part_file, parts_of, read_result, versions
from monai_semgan.label_app.jobs.scheduler import Entry, Scheduler
from monai_semgan.label_app.jobs.store import JobStore
from monai_semgan.label_app.jobs.uploads import Incoming, UploadStore

logger = logging.getLogger(__name__)

TEND_SECONDS = 0.5
REPORT_SECONDS = 60.0
RESERVE_BYTES = 32 * 2**20
"""Room on the disk that jobs never take."""

FindImage = Callable[[str], "Path | None"]


class JobService:
    """Segmentations as jobs.

    Thread-safe. Nothing runs before `start`; one server at a time holds a folder of studies.

    Args:
        studies: folder of the datastore; jobs and uploads lie in its sub-folder `.semgan`.
        find_image: file of an image of the datastore by id; None if there is no such image.
        bundles: model folders; the one that comes with the package when left out.
        devices: a worker process for each: `auto`, `cpu`, `cuda`, `cuda:N`.
        python: interpreter of the workers.
        upload_limit_bytes: largest volume that is taken.
        disk_limit_bytes: what jobs and uploads may take together; the oldest ended jobs make room.
        keep_seconds: how long ended jobs, and uploads after their last use, stay.
        queue_limit: jobs that may wait.
        jobs_limit: ended jobs that are kept, whatever their age.
        partial_seconds: least time between two partial results of a job.
        cancel_seconds: a worker that has not obeyed by then is killed.

    Raises:
        SemganError: if a bundle is missing or broken, or the studies cannot be written.
    """

    def __init__(
        self,
        studies: Path,
        find_image: FindImage,
        bundles: Sequence[Path | str] | None = None,
        devices: Sequence[str] = ("auto",),
        *,
        python: str = sys.executable,
        upload_limit_bytes: int = 2 * 2**30,
        disk_limit_bytes: int = 20 * 2**30,
        keep_seconds: float = 24 * 3600.0,
        queue_limit: int = 100,
        jobs_limit: int = 500,
        partial_seconds: float = 2.0,
        cancel_seconds: float = 30.0,
    ) -> None:
        self.models = served_models(list(bundles) if bundles else [None])
        self.find_image, self.python = find_image, python
        self.disk_limit_bytes, self.keep_seconds = disk_limit_bytes, keep_seconds
        self.queue_limit, self.jobs_limit, self.cancel_seconds = queue_limit, jobs_limit, cancel_seconds
        self.store = JobStore(Path(studies))
        self.uploads = UploadStore(self.store.uploads, python, upload_limit_bytes, keep_seconds)
        self.scheduler = Scheduler(len(devices))
        self._lock = threading.RLock()
        command = worker_command(python, next(iter(self.models.values())).folder, partial_seconds)
        self._pool = WorkerPool(command, devices, self._lock, self)
        self._closing = threading.Event()
        self._grown = threading.Event()
        self._started: float | None = None
        self._claim: Any = None

    def start(self) -> None:
        """Take over the jobs of an earlier server and start the workers.

        Raises:
            SemganError: if another server holds the studies.
        """
        self._claim = _claim(self.store.root / "server.lock")
        with self._lock:
            self._take_over()
            self._started = time.monotonic()
            self._pool.start()
        threading.Thread(target=self._tend, daemon=True, name="jobs").start()

    def close(self) -> None:
        """End the workers; jobs that have not ended are interrupted, with what they have found."""
        if self._started is None or self._closing.is_set():
            return
        self._closing.set()
        self._pool.close()
        with self._lock:
            for entry in self.scheduler:
                if not entry.ended:
                    self._end(entry, State.interrupted, "the server was stopped")
        self._claim.release()

    def health(self) -> Health:
        """How the server is."""
        used = self.store.used()
        with self._lock:
            return Health(
                product="monai_semgan",
                version=__version__,
                api=API_VERSION,
                ready=self._pool.ready,
                workers=self._pool.workers(),
                queued=self.scheduler.waiting,
                uptime_seconds=round(time.monotonic() - (self._started or time.monotonic()), 1),
                disk_bytes=used,
                disk_limit_bytes=self.disk_limit_bytes,
                upload_limit_bytes=self.uploads.limit_bytes,
                research_only=RESEARCH_ONLY,
            )

    def model_list(self) -> ModelList:
        """The models, with the times that were measured here."""
        with self._lock:
            measured = dict(self.scheduler.measured)
        models = []
        for name, model in self.models.items():
            modes = [m.model_copy(update={"seconds": measured.get((name, m.name))}) for m in model.info.modes]
            models.append(model.info.model_copy(update={"modes": modes}))
        return ModelList(models=models)

    def submit(self, request: JobRequest, report: bool = True) -> Job:
        """Put a job into the queue.

        Args:
            request: what to segment, and how.
            report: whether the page for people is written, which takes seconds.

        Raises:
            Refusal: if something in the request makes no sense, or the queue or the disk is full.
        """
        self._check_open()
        model = self._model(request)
        self._label_ids(request, model)
        _check_objective(request)
        path = self._source(request)
        self._check_range(request, path)
        self._make_room(_size(path))
        job = Job(
            id=secrets.token_hex(16),
            state=State.queued,
            request=request.model_copy(update={"model": model.info.name}),
            message="waiting",
            created=time.time(),
        )
        with self._lock:
            if self.scheduler.waiting >= self.queue_limit:
                raise QueueFull(f"{self.scheduler.waiting} jobs are waiting; try again later")
            if request.upload is not None:
                self.uploads.use(request.upload)
            self._save(job)
            entry = self.scheduler.enqueue(job, report)
            self.worker_free()
            return self.scheduler.snapshot(entry)

    def jobs(self) -> JobList:
        """All jobs, the newest first."""
        with self._lock:
            entries = [entry for entry in self.scheduler if not entry.removing]
            return JobList(jobs=[self.scheduler.snapshot(entry) for entry in reversed(entries)])

    def job(self, job: str) -> Job:
        """A job.

        Raises:
            Unknown: if there is none.
        """
        with self._lock:
            return self.scheduler.snapshot(self._entry(job))

    def cancel(self, job: str) -> Job:
        """End a job early; what it has found stays.

        Raises:
            Unknown: if there is none.
            Conflict: if it has ended.
        """
        with self._lock:
            entry = self._entry(job)
            if entry.ended:
                raise Conflict(f"the job has ended already: {entry.job.state.value}")
            self._cancel(entry)
            return self.scheduler.snapshot(entry)

    def remove(self, job: str) -> None:
        """Remove a job and its files; one that runs is cancelled first.

        Raises:
            Unknown: if there is none.
        """
        with self._lock:
            entry = self._entry(job)
            if not entry.ended:
                self._cancel(entry)
            if not entry.ended:
                entry.removing = True
                return
            self.scheduler.forget(job)
        self.store.remove(job)

    def result(self, job: str) -> Result:
        """What a job has found so far.

        Raises:
            Unknown: if there is no such job.
            Conflict: if there is no result yet.
        """
        results = self.store.results(job)
        for version in self._versions(job):
            with contextlib.suppress(OSError):
                return read_result(results / str(version))
        raise self._no_result(job)

    def open_part(self, job: str, part: Part, form: VolumeFormat) -> tuple[Any, int, int]:
        """A file of a result.

        Returns:
            Open file, its size in bytes, version of the result.

        Raises:
            Unknown: if there is no such job, or its results have no such part.
            Conflict: if there is no result yet.
            NoRoom: if the disk is too full to make it.
        """
        results = self.store.results(job)
        found = self._versions(job)
        if part is Part.report:
            self._await_report(job)
        for version in found:  # a newer one may have taken its place meanwhile
            try:
                path = part_file(results, version, part, form)
                self._grown.set()
                if path is not None:
                    stream = open(path, "rb")  # noqa: SIM115 - whoever sends it closes it
                    return stream, path.stat().st_size, version
            except SemganError as error:
                raise NoRoom(in_words(error)) from error
            except OSError:
                continue
            break
        if not found:
            raise self._no_result(job)
        raise self._no_part(job, part)

    @contextlib.contextmanager
    def receiving(self, suffix: str, expected_bytes: int | None = None) -> Iterator[Incoming]:
        """An upload that is being sent; see `UploadStore.receiving`.

        Raises:
            Refusal: if it is too large, or the suffix unknown, or the disk full.
        """
        self._check_open()
        self.uploads.check_size(expected_bytes or 0)
        self._make_room(expected_bytes or 0)
        with self.uploads.receiving(suffix) as incoming:
            yield incoming

    def accept(self, incoming: Incoming) -> Upload:
        """Check and keep what was sent.

        Raises:
            Refusal: if it is no volume.
        """
        stored = self.uploads.accept(incoming)
        with self._lock:
            self.uploads.add(stored)
        return stored.info

    def remove_upload(self, upload: str) -> None:
        """Remove an upload.

        Raises:
            Unknown: if there is none.
            Conflict: if a job still needs it.
        """
        with self._lock:
            self.uploads.get(upload)
            if upload in self._uploads_in_use():
                raise Conflict("a job that has not ended uses this upload; cancel it first")
            self.uploads.remove(upload)

    # what workers say; called with the lock held

    def worker_free(self) -> None:
        """Give waiting jobs to free workers."""
        while not self._closing.is_set() and (slot := self._pool.free_slot()) is not None:
            entry = self.scheduler.next()
            if entry is None:
                return
            try:
                task = self._task(entry)
            except Refusal as refusal:
                self._end(entry, State.failed, refusal.detail)
                continue
            entry.attempts += 1
            entry.job.state = State.warming
            entry.job.message = "is being started" if slot.warm else "the model is being loaded"
            self._pool.give(slot, task)

    def worker_says(self, job: str, message: dict[str, Any]) -> None:
        """Take in what a worker tells of a job."""
        entry = self.scheduler.held(job)
        if entry is None:
            return
        said = message["say"]
        if said in ("result", "parts"):
            self._grown.set()
        if said == "parts":
            self._report_written(entry)
        elif entry.ended:
            return
        elif said == "started":
            entry.job.state, entry.job.started = State.running, time.time()
            self._save(entry.job)
        elif said == "progress":
            self.scheduler.progress(entry, message)
        elif said == "result":
            entry.job.result_version = int(message["version"])
            entry.job.residual = list(message.get("residual") or [])
            self._note_parts(entry.job)
            self._save(entry.job)
        elif said == "end":
            entry.reporting = entry.report
            self._end(entry, State(message["state"]), str(message["message"]))

    def worker_died(self, job: str | None, code: int, usable: bool, message: str) -> None:
        """Say why its job ended, or let another worker try it if it had not begun."""
        entry = self.scheduler.held(job) if job is not None else None
        if not usable:
            self._fail_waiting(f"the model cannot be used: {message}")
        if entry is None or entry.ended:
            return
        if entry.cancel_by is not None or entry.removing:
            self._end(entry, State.cancelled, "cancelled; the worker was stopped")
        elif entry.job.state is State.warming and entry.attempts < 2:
            self.scheduler.requeue(entry)
        else:
            how = f"was killed (signal {-code})" if code < 0 else f"ended (code {code})"
            self._end(entry, State.failed, f"the worker process {how}; it may have run out of memory")

    # inside

    def _take_over(self) -> None:
        self.uploads.load()
        for job in self.store.load():
            entry = self.scheduler.remember(job)
            self._note_parts(job)
            if not entry.ended:
                self._end(entry, State.interrupted, "the server ended while the job was waiting or running")

    def _check_open(self) -> None:
        if self._started is None or self._closing.is_set():
            raise NotReady("the server is starting or stopping; try again later")

    def _entry(self, job: str) -> Entry:
        entry = self.scheduler.get(job)
        if entry is None:
            raise Unknown("unknown job; it may have expired")
        return entry

    def _model(self, request: JobRequest) -> ServedModel:
        if request.model is None:
            return next(iter(self.models.values()))
        if request.model not in self.models:
            raise Unknown(f"unknown model; this server has {', '.join(self.models)}")
        return self.models[request.model]

    def _label_ids(self, request: JobRequest, model: ServedModel) -> list[int]:
        from monai_semgan.segmentation import parse_labels

        try:
            return parse_labels(request.labels, model.labels) if request.labels else list(model.labels)
        except SemganError as error:
            raise Refusal(in_words(error)) from error

    def _source(self, request: JobRequest) -> Path:
        if request.upload is not None:
            with self._lock:
                return self.uploads.get(request.upload).path
        path = self.find_image(str(request.image))
        if path is None or not Path(path).exists():
            raise Unknown("unknown image; list the ids with GET /datastore/")
        return Path(path)

    def _check_range(self, request: JobRequest, path: Path) -> None:
        if request.slice_range_mm is None:
            return
        low, high = check_scan(path, self.python).heights
        if request.slice_range_mm[1] < low or request.slice_range_mm[0] > high:
            raise Refusal(f"slice_range_mm lies outside the volume, which reaches from {low:.1f} to {high:.1f} mm")

    def _task(self, entry: Entry) -> Task:
        job, request = entry.job, entry.job.request
        model = self._model(request)
        return Task(
            job=job.id,
            image=str(self._source(request)),
            results=str(self.store.results(job.id)),
            bundle=str(model.folder),
            mode=request.mode.value,
            labels=tuple(self._label_ids(request, model)),
            modality=request.modality,
            steps=request.steps,
            objective=request.objective,
            slice_range_mm=request.slice_range_mm,
            report=entry.report,
        )

    def _cancel(self, entry: Entry) -> None:
        if entry.job.state is State.queued:
            self._end(entry, State.cancelled, "cancelled before it began")
        elif entry.job.state is State.warming:
            self._pool.drop(entry.job.id)
            self._end(entry, State.cancelled, "cancelled before it began")
            self.worker_free()
        elif entry.cancel_by is None:
            entry.cancel_by = time.monotonic() + self.cancel_seconds
            entry.job.message = "is being cancelled"
            self._pool.cancel(entry.job.id)

    def _end(self, entry: Entry, state: State, message: str) -> None:
        self.scheduler.end(entry, state, message, self.keep_seconds)
        self._note_parts(entry.job)
        if entry.removing:
            self.scheduler.forget(entry.job.id)
            self.store.remove(entry.job.id)
            return
        self._save(entry.job)

    def _await_report(self, job: str) -> None:
        """A job has ended when its label and maps are there; who asks for the report waits a little longer."""
        deadline = time.monotonic() + REPORT_SECONDS
        while time.monotonic() < deadline and not self._closing.is_set():
            with self._lock:
                if not self._entry(job).reporting:
                    return
            time.sleep(0.1)

    def _report_written(self, entry: Entry) -> None:
        entry.reporting = False
        self._note_parts(entry.job)
        self._save(entry.job)

    def _fail_waiting(self, message: str) -> None:
        for entry in self.scheduler:
            if entry.job.state in (State.queued, State.warming):
                self._end(entry, State.failed, message)

    def _note_parts(self, job: Job) -> None:
        results = self.store.results(job.id)
        found = versions(results)
        job.result_version = found[-1] if found else 0
        with contextlib.suppress(OSError):
            job.parts = parts_of(results / str(found[-1])) if found else []

    def _versions(self, job: str) -> list[int]:
        """Versions of a job's results that are there, the newest first."""
        with self._lock:
            self._entry(job)
        return versions(self.store.results(job))[::-1]

    def _no_result(self, job: str) -> Refusal:
        state = self.job(job).state.value
        return Conflict(f"there is no result yet: the job is {state}")

    def _no_part(self, job: str, part: Part) -> Refusal:
        with self._lock:
            entry = self._entry(job)
            if not entry.ended:
                return Conflict(f"there is no {part.value} yet: the job is {entry.job.state.value}")
            if entry.reporting and part is Part.report:
                return Conflict("the report is being written; ask again later")
        return Unknown(f"the result has no {part.value}")

    def _save(self, job: Job) -> None:
        """Write the record; on a full disk the job goes on, and its record tells of an earlier state."""
        try:
            self.store.save(job)
        except SemganError as error:
            if job.state is State.queued:
                raise NoRoom(in_words(error)) from error
            logger.error("the record of a job could not be written: %s", error.problem)

    def _uploads_in_use(self) -> set[str]:
        return {e.job.request.upload for e in self.scheduler if not e.ended and e.job.request.upload is not None}

    def _make_room(self, needed: int) -> None:
        """Let the oldest ended jobs, then unused uploads go until there is room.

        Raises:
            NoRoom: if that does not suffice.
        """
        with self._lock:
            used, free = self.store.used(), self.store.free()
            for remove in self._removable():
                if used + needed <= self.disk_limit_bytes and free >= needed + RESERVE_BYTES:
                    return
                remove()
                used, free = self.store.used(), self.store.free()
            if used + needed > self.disk_limit_bytes or free < needed + RESERVE_BYTES:
                raise NoRoom("no room for another job; remove jobs or uploads, or let the server have more disk")

    def _shrink(self) -> None:
        """Results and maps that were made since the last look may have taken more than the limit."""
        if not self._grown.is_set():
            return
        self._grown.clear()
        if self.store.used() <= self.disk_limit_bytes:
            return
        with self._lock:
            for remove in self._removable():
                remove()
                if self.store.used() <= self.disk_limit_bytes:
                    return

    def _removable(self) -> Iterator[Callable[[], None]]:
        """What can go, the least missed first."""
        for entry in self.scheduler:
            if entry.ended:
                yield lambda entry=entry: self._drop(entry)  # type: ignore[misc]
        in_use = self._uploads_in_use()
        for name in self.uploads.oldest_first():
            if name not in in_use:
                yield lambda name=name: self.uploads.remove(name)  # type: ignore[misc]

    def _drop(self, entry: Entry) -> None:
        self.scheduler.forget(entry.job.id)
        self.store.remove(entry.job.id)

    def _tend(self) -> None:
        while not self._closing.wait(TEND_SECONDS):
            try:
                with self._lock:
                    self._tend_once()
                self._shrink()
            except Exception as error:  # one bad moment must not end the watch
                log_without_values(logger, error)

    def _tend_once(self) -> None:
        self._pool.tend()
        self.worker_free()
        now, clock = time.time(), time.monotonic()
        ended = [entry for entry in self.scheduler if entry.ended]
        for number, entry in enumerate(ended):
            late = entry.job.expires is not None and entry.job.expires < now
            if late or number < len(ended) - self.jobs_limit:
                self._drop(entry)
        in_use = self._uploads_in_use()
        for name in self.uploads.expired():
            if name not in in_use:
                self.uploads.remove(name)
        for entry in self.scheduler:
            if entry.cancel_by is not None and clock > entry.cancel_by:
                entry.cancel_by = clock + self.cancel_seconds
                self._pool.kill(entry.job.id)


def _claim(path: Path) -> Any:
    """A lock that ends with this process.

    Raises:
        SemganError: if another process has it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        remedy = "stop it or choose another folder"
        raise SemganError("another server uses these studies", remedy=remedy, path=path.parent.parent) from None
    return lock


def _check_objective(request: JobRequest) -> None:
    from monai_semgan.losses.reconstruction import OBJECTIVES

    known = ("auto", *OBJECTIVES)
    if request.objective is not None and request.objective not in known:
        raise Refusal(f"unknown objective; use {', '.join(known)}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
