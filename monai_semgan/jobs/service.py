"""The job service: takes jobs, lets workers run them, keeps their results for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from monai_semgan._version import __version__
from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import API_VERSION, Health, Job, JobList, JobRequest, ModelList, State
from monai_semgan.jobs.dispatcher import Dispatcher
from monai_semgan.jobs.job_errors import Conflict, NotReady, QueueFull, Unknown
from monai_semgan.jobs.models import served_models
from monai_semgan.jobs.planner import FindImage, TaskPlanner
from monai_semgan.jobs.reception import Reception
from monai_semgan.jobs.scheduler import Entry
from monai_semgan.jobs.service_settings import ServiceSettings
from monai_semgan.jobs.storage.job_log import log_without_values
from monai_semgan.jobs.storage.quota import DiskQuota
from monai_semgan.jobs.storage.result_access import ResultAccess
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.jobs.storage.uploads import UploadStore
from monai_semgan.jobs.workers.pool import worker_command
from monai_semgan.organs import RESEARCH_ONLY

logger = logging.getLogger(__name__)

TEND_SECONDS = 0.5


class JobService:
    """Run segmentations as jobs.

    Thread-safe. Nothing runs before `start`; one server at a time holds a folder of studies.

    Args:
        studies: folder of the datastore; jobs and uploads lie in its sub-folder `.semgan`.
        find_image: file of an image of the datastore by id; None if there is no such image.
        settings: models, devices and limits.

    Raises:
        SemganError: if a bundle is missing or broken, or the studies cannot be written.
    """

    def __init__(self, studies: Path, find_image: FindImage, settings: ServiceSettings | None = None) -> None:
        settings = settings or ServiceSettings()
        python, keep_seconds = settings.python, settings.keep_seconds
        self.models = served_models(list(settings.bundles or [None]))
        self.queue_limit, self.jobs_limit = settings.queue_limit, settings.jobs_limit
        self.store = JobStore(Path(studies))
        self.quota = DiskQuota(self.store, settings.disk_limit_bytes)
        unused_seconds = min(settings.upload_keep_seconds, keep_seconds)
        self.uploads = UploadStore(self.store.uploads, python, settings.upload_limit_bytes, unused_seconds)
        self._planner = TaskPlanner(self.models, find_image, self._upload_file, self.store.results, python)
        self._lock = threading.RLock()
        self._dispatcher = Dispatcher(
            self.store,
            self._planner,
            worker_command(python, next(iter(self.models.values())).folder, settings.partial_seconds),
            settings.devices,
            self._lock,
            keep_seconds,
            settings.cancel_seconds,
            self.quota.note_growth,
        )
        self.scheduler = self._dispatcher.scheduler
        self._closing = threading.Event()
        self.results = ResultAccess(self.store, self.quota, self._entry, self._lock, self._closing)
        self.reception = Reception(
            self.uploads, self._lock, self._make_space, self._uploads_in_use, self.quota.note_growth, self._check_open
        )
        self._started: float | None = None
        self._claim: Any = None

    def start(self) -> None:
        """Take over the jobs of an earlier server and start the workers.

        Raises:
            SemganError: if another server holds the studies.
        """
        self._claim = _claim(self.store.root / "server.lock")
        with self._lock:
            self.reception.load()
            self._dispatcher.take_over()
            self._started = time.monotonic()
            self._dispatcher.pool.start()
        threading.Thread(target=self._tend, daemon=True, name="jobs").start()

    def close(self) -> None:
        """End the workers; jobs that have not ended are interrupted, with what they have found."""
        if self._started is None or self._closing.is_set():
            return
        self._closing.set()
        self._dispatcher.pool.close()
        with self._lock:
            self._dispatcher.interrupt()
        self._claim.release()

    def health(self) -> Health:
        """Tell how the server is."""
        used, pool = self.store.used(), self._dispatcher.pool
        with self._lock:
            return Health(
                product="monai_semgan",
                version=__version__,
                api=API_VERSION,
                ready=pool.ready,
                workers=pool.workers(),
                queued=self.scheduler.waiting,
                uptime_seconds=round(time.monotonic() - (self._started or time.monotonic()), 1),
                disk_bytes=used,
                disk_limit_bytes=self.quota.limit_bytes,
                upload_limit_bytes=self.uploads.limit_bytes,
                keep_seconds=self._dispatcher.keep_seconds,
                upload_keep_seconds=self.uploads.keep_seconds,
                research_only=RESEARCH_ONLY,
            )

    def model_list(self) -> ModelList:
        """List the models, with the times that were measured here."""
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
            JobError: if something in the request makes no sense, or the queue or the disk is full.
        """
        self._check_open()
        request, path = self._planner.check(request)
        self._make_space(_size(path), keep=request.upload)
        now = time.time()
        job = Job(id=secrets.token_hex(16), state=State.queued, request=request, message="waiting", created=now)
        with self._lock:
            if self.scheduler.waiting >= self.queue_limit:
                raise QueueFull(f"{self.scheduler.waiting} jobs are waiting; try again later")
            if request.upload is not None:
                self.uploads.use(request.upload)
            return self.scheduler.snapshot(self._dispatcher.add(job, report))

    def jobs(self) -> JobList:
        """List all jobs, the newest first."""
        with self._lock:
            entries = [entry for entry in self.scheduler if not entry.removing]
            return JobList(jobs=[self.scheduler.snapshot(entry) for entry in reversed(entries)])

    def job(self, job: str) -> Job:
        """Return a job.

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
            self._dispatcher.cancel(entry)
            return self.scheduler.snapshot(entry)

    def remove(self, job: str) -> None:
        """Remove a job and its files; one that runs is cancelled first.

        Raises:
            Unknown: if there is none.
        """
        with self._lock:
            self._dispatcher.remove(self._entry(job))

    def _check_open(self) -> None:
        if self._started is None or self._closing.is_set():
            raise NotReady("the server is starting or stopping; try again later")

    def _entry(self, job: str) -> Entry:
        entry = self.scheduler.get(job)
        if entry is None:
            raise Unknown("unknown job; it may have expired")
        return entry

    def _upload_file(self, upload: str) -> Path:
        with self._lock:
            return self.uploads.get(upload).path

    def _uploads_in_use(self) -> set[str]:
        return {e.job.request.upload for e in self.scheduler if not e.ended and e.job.request.upload is not None}

    def _make_space(self, needed: int, keep: str | None = None) -> None:
        with self._lock:
            self.quota.make_space(needed, self._removals(keep))

    def _removals(self, keep: str | None = None) -> Iterator[Callable[[], None]]:
        """Yield the oldest ended jobs, then unused uploads and unfinished ones, save `keep`."""
        for entry in self.scheduler:
            if entry.ended:
                yield partial(self._dispatcher.drop, entry)
        in_use = self._uploads_in_use()
        for name in self.uploads.oldest_first():
            if name not in in_use and name != keep:
                yield partial(self.uploads.remove, name)
        for name in self.reception.parts.abandoned():
            if name != keep:
                yield partial(self.reception.parts.remove, name)

    def _tend(self) -> None:
        while not self._closing.wait(TEND_SECONDS):
            try:
                with self._lock:
                    self._dispatcher.tend()
                    self._expire()
                if self.quota.overfull():
                    with self._lock:
                        self.quota.shrink(self._removals())
            except Exception as error:  # one bad moment must not end the watch
                log_without_values(logger, error)

    def _expire(self) -> None:
        now = time.time()
        ended = [entry for entry in self.scheduler if entry.ended]
        for number, entry in enumerate(ended):
            late = entry.job.expires is not None and entry.job.expires < now
            if late or number < len(ended) - self.jobs_limit:
                self._dispatcher.drop(entry)
        self.reception.expire()
        in_use = self._uploads_in_use()
        for name in self.uploads.expired():
            if name not in in_use:
                self.uploads.remove(name)


def _claim(path: Path) -> Any:
    """Take a lock that ends with this process.

    Raises:
        SemganError: if another process has it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - optional extra

    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        remedy = "stop it or choose another folder"
        raise SemganError("another server uses these studies", remedy=remedy, path=path.parent.parent) from None
    return lock


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
