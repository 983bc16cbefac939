"""The job service: takes jobs, lets workers run them, keeps their results for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from monai_semgan._version import __version__
from monai_semgan.jobs.contract import API_VERSION, Job, JobList, JobRequest, Mode, State
from monai_semgan.jobs.correction_service import CorrectionService
from monai_semgan.jobs.dispatcher import Dispatcher
from monai_semgan.jobs.estimates import Estimates
from monai_semgan.jobs.job_entries import Entry, Origin, Turn
from monai_semgan.jobs.job_errors import Conflict, JobError, NotReady, QueueFull, Unknown
from monai_semgan.jobs.model_library import VERSIONS, ModelLibrary
from monai_semgan.jobs.models import served_models
from monai_semgan.jobs.ownership import NOBODY, SERVER, Asker
from monai_semgan.jobs.planner import FindImage, TaskPlanner
from monai_semgan.jobs.reception import Reception
from monai_semgan.jobs.retention import Retention
from monai_semgan.jobs.server_contract import Health, ModelList
from monai_semgan.jobs.service_settings import ServiceSettings
from monai_semgan.jobs.storage.job_log import log_without_values
from monai_semgan.jobs.storage.quota import DiskQuota, file_bytes
from monai_semgan.jobs.storage.result_access import ResultAccess
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.jobs.storage.studies_lock import claim
from monai_semgan.jobs.storage.uploads import UploadStore
from monai_semgan.jobs.train_contract import TrainState
from monai_semgan.jobs.training_labels import FindLabels
from monai_semgan.jobs.training_service import TrainingService
from monai_semgan.jobs.workers.pool import worker_command
from monai_semgan.organs import RESEARCH_ONLY
from monai_semgan.utils.file_state import file_state, fingerprint

logger = logging.getLogger(__name__)

TEND_SECONDS = 0.5

COUNT_SECONDS = 2.0
"""So old the count of bytes on disk may be that is told."""


class JobService:
    """Run segmentations as jobs.

    Thread-safe. Nothing runs before `start`; one server at a time holds a folder of studies.

    Args:
        studies: folder of the datastore; jobs and uploads lie in its sub-folder `.semgan`.
        find_image: file of an image of the datastore by id; None if there is no such image.
        settings: models, devices and limits.
        find_labels: images with final labels to learn from; there are none when left out.

    Raises:
        SemganError: if a bundle is missing or broken, or the studies cannot be written.
    """

    def __init__(
        self,
        studies: Path,
        find_image: FindImage,
        settings: ServiceSettings | None = None,
        find_labels: FindLabels | None = None,
    ) -> None:
        settings = settings or ServiceSettings()
        python, keep_seconds = settings.python, settings.keep_seconds
        self.models = served_models(list(settings.bundles or [None]))
        self.queue_limit = settings.queue_limit
        self.store = JobStore(Path(studies))
        library = ModelLibrary(self.store.root / VERSIONS, self.models)
        self.training = TrainingService(library, self.store.root / "trainings", find_labels, self._busy, python)
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
            self.uploads,
            self._lock,
            self._make_space,
            lambda: self._retention.uploads_in_use(),
            self.quota.note_growth,
            self._check_open,
        )
        self._retention = Retention(self.store, self._dispatcher, self.reception, settings.jobs_limit)
        self.corrections = CorrectionService(
            self._dispatcher, self.uploads, self._lock, self._make_space, settings.queue_limit, self._check_open
        )
        self._started: float | None = None
        self._claim: Any = None

    def start(self) -> None:
        """Take over the jobs of an earlier server and start the workers.

        Raises:
            SemganError: if another server holds the studies.
        """
        self._claim = claim(self.store.root / "server.lock")
        with self._lock:
            self.reception.load()
            self._dispatcher.take_over()
            self.training.take_over()
            self._started = time.monotonic()
            self._dispatcher.pool.start()
        threading.Thread(target=self._tend, daemon=True, name="jobs").start()

    def close(self) -> None:
        """End the workers; jobs that have not ended are interrupted, with what they have found."""
        if self._started is None or self._closing.is_set():
            return
        self._closing.set()
        self.training.close()
        self._dispatcher.pool.close()
        with self._lock:
            self._dispatcher.interrupt()
        self._claim.release()

    def health(self) -> Health:
        """Tell how the server is."""
        used, pool = self.store.used(COUNT_SECONDS), self._dispatcher.pool
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
        models, estimates = [], self.scheduler.estimates
        for name, model in self.models.items():
            with self._lock:
                modes = [m.model_copy(update=_times(estimates, name, m.name)) for m in model.info.modes]
            models.append(model.info.model_copy(update={"modes": modes}))
        return ModelList(models=models)

    def submit(self, request: JobRequest, asker: Asker = NOBODY, report: bool = True, turn: Turn | None = None) -> Job:
        """Put a job into the queue.

        Args:
            request: what to segment, and how.
            asker: whose the job will be.
            report: whether the page for people is written, which takes seconds.
            turn: whose turn comes first; previews go before inversions when left out.

        Raises:
            JobError: if something in the request makes no sense, or the queue or the disk is full.
        """
        self._check_open()
        request, path = self._planner.check(request)
        self._make_space(file_bytes(path), keep=request.upload)
        now, state = time.time(), fingerprint(file_state(path))
        turn = (Turn.preview if request.mode is Mode.preview else Turn.ordinary) if turn is None else turn
        origin = Origin(asker.owner, state, turn, report)
        job = Job(id=secrets.token_hex(16), state=State.queued, request=request, message="waiting", created=now)
        with self._lock:
            if self.scheduler.waiting >= self.queue_limit:
                raise QueueFull(f"{self.scheduler.waiting} jobs are waiting; try again later")
            if request.upload is not None:
                self.uploads.use(request.upload)
            return self.scheduler.snapshot(self._dispatcher.add(job, origin), asker.owner)

    def jobs(self, asker: Asker = NOBODY) -> JobList:
        """List all jobs, the newest first."""
        with self._lock:
            entries = [entry for entry in self.scheduler if not entry.removing]
            return JobList(jobs=list(self.scheduler.snapshots(reversed(entries), asker.owner)))

    def job(self, job: str, asker: Asker = NOBODY) -> Job:
        """Return a job.

        Raises:
            Unknown: if there is none.
        """
        with self._lock:
            return self.scheduler.snapshot(self._entry(job), asker.owner)

    def cancel(self, job: str, asker: Asker = SERVER) -> Job:
        """End a job early; what it has found stays.

        Raises:
            Unknown: if there is none.
            Forbidden: if it is somebody else's.
            Conflict: if it has ended.
        """
        with self._lock:
            entry = self._entry(job)
            asker.check_may_end(entry)
            if entry.ended:
                raise Conflict(f"the job has ended already: {entry.job.state.value}")
            self._dispatcher.cancel(entry)
            return self.scheduler.snapshot(entry, asker.owner)

    def remove(self, job: str, asker: Asker = SERVER) -> None:
        """Remove a job and its files; one that runs is cancelled first.

        Raises:
            Unknown: if there is none.
            Forbidden: if it is somebody else's.
        """
        with self._lock:
            entry = self._entry(job)
            asker.check_may_end(entry)
            self._dispatcher.remove(entry)

    def _busy(self) -> bool:
        """Tell whether jobs run or wait that somebody waits for, or their reports are being written."""
        with self._lock:
            wanted = (entry for entry in self.scheduler if entry.origin.turn is not Turn.spare)
            return any(entry.reporting or not entry.ended for entry in wanted)

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
            found = self.uploads.get(upload)
        if found.info.empty:
            raise JobError("the volume is 0 everywhere, so it is no scan; check that the right file was exported")
        return found.path

    def _follow_choices(self) -> None:
        """Use the versions that were chosen on the command line, but of models that are being taught."""
        trainings = self.training.trainings().trainings
        taught = {one.model for one in trainings if one.state in (TrainState.running, TrainState.paused)}
        self.training.library.follow(taught)

    def _make_space(self, needed: int, keep: str | None = None, keep_job: str | None = None) -> None:
        if self.quota.suffices(needed):  # counting takes a while: nobody waits for it
            return
        with self._lock:
            self.quota.make_space(needed, self._retention.removals(keep, keep_job))

    def _tend(self) -> None:
        while not self._closing.wait(TEND_SECONDS):
            try:
                with self._lock:
                    self._dispatcher.tend()
                    self._retention.expire()
                    left_over = self._retention.left_over()
                self._retention.retry(left_over)
                self.training.tend()
                self._follow_choices()
                if self.quota.overfull():
                    with self._lock:
                        self.quota.shrink(self._retention.removals())
            except Exception as error:  # one bad moment must not end the watch
                log_without_values(logger, error)


def _times(estimates: Estimates, model: str, mode: Mode) -> dict[str, Any]:
    return {
        "seconds": estimates.seconds(model, mode),
        "measured_slices": estimates.measured_slices(model, mode),
    }
