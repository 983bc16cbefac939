"""Corrections of results by strokes: takes them in, tells their history, goes back and forth in it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job, Part, Result, State
from monai_semgan.jobs.correction_contract import KEPT_CORRECTIONS, CorrectionHistory, CorrectionRequest
from monai_semgan.jobs.correction_history import HistoryRecord, StepRecord
from monai_semgan.jobs.correction_planner import voxels_of
from monai_semgan.jobs.dispatcher import Dispatcher
from monai_semgan.jobs.job_entries import Entry, Origin, Turn
from monai_semgan.jobs.job_errors import Conflict, Forbidden, JobError, NoSpace, QueueFull, Unknown, in_words
from monai_semgan.jobs.ownership import NOBODY, SERVER, Asker
from monai_semgan.jobs.storage.correction_files import save_request
from monai_semgan.jobs.storage.quota import file_bytes
from monai_semgan.jobs.storage.result_files import other_grids, read_result, versions
from monai_semgan.jobs.storage.uploads import UploadStore
from monai_semgan.utils.file_state import file_state, fingerprint

RUN_BYTES = 24
"""Of a run on disk."""

Space = Callable[[int, "str | None", "str | None"], None]
"""Makes room for so many bytes, whatever is removed but an upload and a job."""


class CorrectionService:
    """What the routes of corrections ask. Thread-safe.

    Args:
        dispatcher: lets them run.
        uploads: where labels come from.
        lock: of the owner.
        make_space: removes what is old.
        queue_limit: jobs that may wait.
        check_open: raises unless jobs are taken.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        uploads: UploadStore,
        lock: threading.RLock,
        make_space: Space,
        queue_limit: int,
        check_open: Callable[[], None],
    ) -> None:
        self._dispatcher, self._uploads, self._lock = dispatcher, uploads, lock
        self._make_space, self._queue_limit, self._check_open = make_space, queue_limit, check_open
        self._store, self._scheduler, self._book = dispatcher.store, dispatcher.scheduler, dispatcher.book

    def correct(self, job: str, request: CorrectionRequest, asker: Asker = NOBODY, report: bool = True) -> Job:
        """Put a correction into the queue.

        Args:
            job: the one whose result is corrected, or another correction of it.
            request: the strokes.
            asker: who asks.
            report: whether the page for people is written.

        Raises:
            JobError: if something in the request makes no sense, the job has no result, is somebody else's, or was
                made by another model, or the queue or the disk is full.
        """
        self._check_open()
        with self._lock:
            root = self._changeable(job, asker)
            label = self._given(request, root)
        self._check(request, root)
        needed = sum(len(stroke.runs) for stroke in request.strokes) * RUN_BYTES + (
            0 if label is None else file_bytes(label)
        )
        self._make_space(needed, request.label, root.job.id)
        with self._lock:
            root = self._changeable(root.job.id, asker)
            if self._scheduler.waiting >= self._queue_limit:
                raise QueueFull(f"{self._scheduler.waiting} jobs are waiting; try again later")
            owner = root.origin.owner if root.origin.owner is not None else asker.owner
            return self._scheduler.snapshot(self._add(root, request, label, owner, report), asker.owner)

    def history(self, job: str) -> CorrectionHistory:
        """Tell the corrections of a job.

        Raises:
            Unknown: if there is no such job.
        """
        with self._lock:
            return self._book.history(self._root(job).job.id).told()

    def go_to(self, job: str, number: int, asker: Asker = SERVER) -> CorrectionHistory:
        """Let another state be in force; corrections that have not ended are cancelled and undone.

        Raises:
            JobError: if there is no such state, or the job is somebody else's.
        """
        with self._lock:
            root = self._changeable(job, asker)
            history = self._book.history(root.job.id)
            pending = history.pending()
            if history.record.steps or number:
                self._put(history.moved_to(history.target(number)))
            for step in reversed(pending):
                entry = self._scheduler.get(step.job)
                if entry is not None and not entry.ended:
                    self._dispatcher.cancel(entry)
            return self._book.history(root.job.id).told()

    def _root(self, job: str) -> Entry:
        """Return the job that is corrected, of its own id or that of a correction.

        Raises:
            Unknown: if there is none.
        """
        entry = self._scheduler.get(job)
        if entry is not None and entry.job.corrects is not None:
            entry = self._scheduler.get(entry.job.corrects)
        if entry is None:
            raise Unknown("unknown job; it may have expired: segment the scan again")
        return entry

    def _changeable(self, job: str, asker: Asker) -> Entry:
        root = self._root(job)
        if not asker.may_change(root.origin.owner):
            raise Forbidden("the job was started by somebody else, who alone may correct it")
        if not root.ended:
            raise Conflict(f"the job is {root.job.state.value}; wait for its end, or cancel it, before you correct it")
        if Part.label not in root.job.parts:
            raise Conflict("the job has no result that could be corrected")
        return root

    def _given(self, request: CorrectionRequest, root: Entry) -> Path | None:
        """Return the file of the label that comes with the strokes; it is read when it is used."""
        newest = self._book.history(root.job.id).record.next_number - 1
        if request.label_of is not None and request.label_of > newest:
            known = f"the newest has the number {newest}" if newest else "there is none yet"
            raise JobError(f"label_of names correction {request.label_of}, and {known}; leave it out, or give that")
        if request.label is None:
            return None
        upload = self._uploads.get(request.label)
        if sorted(upload.info.shape) != sorted(request.shape):
            given, wanted = (" x ".join(map(str, shape)) for shape in (upload.info.shape, request.shape))
            raise JobError(f"the label has {given} voxels, the scan {wanted}; save it on the scan's grid")
        self._uploads.use(request.label)
        return upload.path

    def _check(self, request: CorrectionRequest, root: Entry) -> None:
        """Make sure that strokes, scan, result and model fit together; reads files, so that nobody waits for it."""
        result, grids = self._result(root)
        corrections = self._dispatcher.correction_planner
        corrections.check(request, result, grids)
        corrections.check_model(result)
        try:
            path = self._dispatcher.planner.source(root.job.request)
        except Unknown:
            raise Unknown("the scan of this job is gone; send it again and start from a new job") from None
        if root.origin.image_state is not None and fingerprint(file_state(path)) != root.origin.image_state:
            raise Conflict("the scan was replaced or changed since the job; segment it again to correct it")

    def _result(self, root: Entry) -> tuple[Result, list[np.ndarray]]:
        results = self._store.results(root.job.id)
        try:
            return read_result(results / str(versions(results)[-1])), other_grids(results)
        except (OSError, IndexError):
            raise Conflict("the result is not there any more; segment the scan again") from None

    def _add(
        self, root: Entry, request: CorrectionRequest, label: Path | None, owner: str | None, report: bool
    ) -> Entry:
        """Keep what was asked for and queue it; what was undone is removed, and the oldest beyond those to be kept."""
        history = self._book.history(root.job.id)
        shown = request.label_of if request.label_of is not None else history.current
        job = _job(root, request, history.record.next_number)
        step = _step(job, request, shown if label is not None else None)
        try:
            save_request(self._store.folder(job.id), request, label)
            self._put(history.with_step(step, KEPT_CORRECTIONS))
        except (SemganError, JobError) as error:
            self._store.remove(job.id)
            raise NoSpace(in_words(error) if isinstance(error, SemganError) else error.detail) from error
        try:
            entry = self._dispatcher.add(job, Origin(owner, root.origin.image_state, Turn.preview, report))
        except NoSpace:
            self._book.forget(job)
            raise
        self._drop_unlisted(root)
        return entry

    def _drop_unlisted(self, root: Entry) -> None:
        for entry in self._book.entries(root.job.id):
            if self._book.step_of(entry.job) is None and not entry.removing:
                self._dispatcher.remove(entry)

    def _put(self, record: HistoryRecord) -> None:
        try:
            self._book.put(record)
        except SemganError as error:
            raise NoSpace(in_words(error)) from error


def _job(root: Entry, request: CorrectionRequest, number: int) -> Job:
    asked = root.job.request.model_copy(update={"client": request.client})
    return Job(
        id=secrets.token_hex(16),
        state=State.queued,
        request=asked,
        message="waiting",
        created=time.time(),
        corrects=root.job.id,
        correction=number,
    )


def _step(job: Job, request: CorrectionRequest, shown: int | None) -> StepRecord:
    return StepRecord(
        number=job.correction or 1,
        job=job.id,
        structures=list(dict.fromkeys(stroke.structure for stroke in request.strokes)),
        kinds=list(dict.fromkeys(stroke.kind for stroke in request.strokes)),
        voxels=sum(voxels_of(stroke) for stroke in request.strokes),
        reach_mm=request.reach_mm,
        locked=request.locked,
        created=job.created,
        shown=shown,
    )
