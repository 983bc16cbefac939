"""Lets workers run the jobs of the queue, and notes what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job, State
from monai_semgan.jobs.correction_book import CorrectionBook
from monai_semgan.jobs.correction_planner import CorrectionPlanner
from monai_semgan.jobs.job_entries import Entry, Origin
from monai_semgan.jobs.job_errors import JobError, NoSpace, in_words
from monai_semgan.jobs.job_records import JobRecords
from monai_semgan.jobs.joint_corrections import Joint, Joints
from monai_semgan.jobs.planner import TaskPlanner
from monai_semgan.jobs.scheduler import Scheduler
from monai_semgan.jobs.storage.result_files import drop_versions
from monai_semgan.jobs.storage.store import JobStore
from monai_semgan.jobs.workers.pool import JobSlot, WorkerPool
from monai_semgan.utils.processes import how_it_ended

KEPT, UNCHANGED = "; the slices corrected until then are kept", "; the label stays as it was"
"""What becomes of the label when a correction does not end well."""


class Dispatcher:
    """Joins queue, workers and records. The owner holds `lock` while it calls.

    Args:
        store: where jobs lie.
        planner: makes tasks of jobs.
        command: of the workers.
        devices: one worker for each.
        lock: of the owner.
        keep_seconds: how long ended jobs stay.
        cancel_seconds: a worker that has not obeyed by then is killed.
        on_growth: told when results were written.
    """

    def __init__(
        self,
        store: JobStore,
        planner: TaskPlanner,
        command: Sequence[str],
        devices: Sequence[str],
        lock: threading.RLock,  # type: ignore[valid-type]
        keep_seconds: float,
        cancel_seconds: float,
        on_growth: Callable[[], None],
    ) -> None:
        self.store, self.planner = store, planner
        self.keep_seconds, self.cancel_seconds, self.on_growth = keep_seconds, cancel_seconds, on_growth
        self.scheduler = Scheduler(len(devices), planner.default_steps())
        self.book = CorrectionBook(store, self.scheduler)
        self.correction_planner = CorrectionPlanner(lambda: planner.models, store, self.book)
        self.pool = WorkerPool(command, devices, lock, self)
        self._joints, self._records = Joints(store), JobRecords(store)
        self._closed = False

    def take_over(self) -> None:
        """Remember the jobs of an earlier server; those that had not ended are interrupted."""
        for job, origin in self.store.load():
            entry = self.scheduler.remember(job, origin)
            self._records.note_parts(job)
            if not entry.ended:
                self._end(entry, State.interrupted, "the server ended while the job was waiting or running")
        for entry in self.book.load():
            self.drop(entry)

    def add(self, job: Job, origin: Origin) -> Entry:
        """Put a new job into the queue.

        Raises:
            NoSpace: if its record cannot be written.
        """
        try:
            self.store.save_origin(job.id, origin)
            self.store.save(job)
        except SemganError as error:
            self.store.remove(job.id)
            raise NoSpace(in_words(error)) from error
        entry = self.scheduler.enqueue(job, origin)
        self.worker_free()
        return entry

    def cancel(self, entry: Entry) -> None:
        """End a job that has not ended: at once if it has not begun, else as soon as its worker obeys.

        Corrections that are computed with it are computed again without it.
        """
        joint = self._joints.of(entry)
        if entry.job.state in (State.running, State.paused) or len(joint.entries) > 1:
            if entry.cancel_by is None:
                entry.cancel_by = time.monotonic() + self.cancel_seconds
                entry.job.message = "is being cancelled"
                self.pool.cancel(joint.carrier.job.id)
            return
        self.pool.drop(entry.job.id)
        self._joints.let_go(entry.job.id)
        self._end(entry, State.cancelled, "cancelled before it began")
        self.worker_free()

    def remove(self, entry: Entry) -> None:
        """Forget a job and remove its files, now or when its worker has let go of it."""
        if not entry.ended:
            self.cancel(entry)
        if not entry.ended:
            entry.removing = True
        else:
            self.drop(entry)

    def drop(self, entry: Entry) -> None:
        """Forget a job that has ended and remove its files, and those of its corrections."""
        for correction in self.book.entries(entry.job.id):
            self.remove(correction)
        self.book.forget(entry.job)
        self.scheduler.forget(entry.job.id)
        self.store.remove(entry.job.id)

    def tend(self) -> None:
        """Start workers that are due, give out jobs, kill workers that do not obey."""
        self.pool.tend()
        self.worker_free()
        now = time.monotonic()
        for entry in self.scheduler:
            if entry.cancel_by is not None and now > entry.cancel_by:
                entry.cancel_by = now + self.cancel_seconds
                self.pool.kill(self._joints.of(entry).carrier.job.id)

    def interrupt(self) -> None:
        """Note that the server stops; the workers have left."""
        self._closed = True
        for entry in self.scheduler:
            if not entry.ended:
                self._end(entry, State.interrupted, "the server was stopped")

    def worker_free(self) -> None:
        """Give waiting jobs to workers that can take them."""
        for quick in (True, False):
            while not self._closed and (entry := self.scheduler.waiting_for(quick)) is not None:
                slot = next((slot for slot in self.pool.free_slots(quick) if not quick or self._yields(slot)), None)
                if slot is None:
                    break
                joint = self.book.joint(entry)
                for one in joint.entries:
                    self.scheduler.take(one)
                self._give(joint, slot)

    def _yields(self, slot: JobSlot) -> bool:
        """Tell whether what a worker does may be paused for another preview."""
        entry = None if slot.job is None else self.scheduler.held(slot.job)
        return entry is None or entry.yields()

    def _give(self, joint: Joint, slot: JobSlot) -> None:
        entry = joint.carrier
        try:
            task = self.planner.task(entry.job, entry.origin)
            if entry.job.corrects is not None:
                task = replace(task, correction=self.correction_planner.plan(joint))
        except JobError as error:
            for one in joint.entries:
                self._end(one, State.failed, error.detail)
            return
        for one in joint.entries:
            one.attempts += 1
            one.job.state = State.warming
            one.job.message = "is being started" if slot.ready else "the model is being loaded"
        self._joints.give(joint)
        if slot.quick is not None and not entry.quick:
            entry.job.message = "previews go first"
            entry.hold()
        self.pool.give(slot, task)

    def worker_says(self, job: str, message: dict[str, Any]) -> None:
        """Take in what a worker tells of a job, and of those that are computed with it."""
        if message["say"] == "parts":
            self._report_written(job)
        entry = self.scheduler.held(job)
        if entry is None or message["say"] == "parts":
            return
        joint, ended = self._joints.of(entry), message["say"] == "end"
        if ended:
            self._joints.let_go(job)
        if joint.parted and message["say"] in ("end", "result"):
            if ended:
                self._part(joint)
            return
        for one in joint.entries:
            self._hear(one, joint, message)

    def _part(self, joint: Joint) -> None:
        """End those of a joint that are not wanted; the others are computed again, without the strokes of these."""
        for one in reversed(joint.entries):  # each is put before those that wait
            one.dropped, one.job.joined = max(one.dropped, one.job.result_version), None
            drop_versions(self.store.results(one.job.id))
            if one.unwanted:
                self._end(one, State.cancelled, "cancelled")
            else:
                one.attempts -= 1
                self.scheduler.requeue(one)
                one.job.message, one.job.step = "waiting", 0
                self._records.note_parts(one.job)
                self._records.save(one.job)

    def _hear(self, entry: Entry, joint: Joint, message: dict[str, Any]) -> None:
        said = message["say"]
        if entry.ended:
            return
        if said == "started":
            entry.begin()
            self._records.save(entry.job)
        elif said == "paused":
            entry.hold()
            entry.job.state = State.paused
            self._tell(entry, "paused: previews go first, then it goes on where it was")
        elif said == "resumed":
            entry.release()
            entry.job.state = State.running
            self._tell(entry, "goes on")
        elif said == "progress":
            self.scheduler.progress(entry, message)
        elif said == "result":
            if entry is not joint.carrier:
                self._joints.share(joint, entry, int(message["version"]))
            self._take_result(entry, message)
        elif said == "end":
            entry.reporting = entry.origin.report
            self._end(entry, State(message["state"]), str(message["message"]) + joint.remark_for(entry))

    def worker_died(self, jobs: Sequence[str], code: int, usable: bool, message: str) -> None:
        """Say why its jobs ended, or let another worker try those that had not begun."""
        if not usable:
            self._fail_waiting(f"the model cannot be used: {message}")
        for entry in filter(None, map(self.scheduler.held, jobs)):
            joint = self._joints.of(entry)
            self._joints.let_go(entry.job.id)
            if joint.parted:
                self._part(joint)
                continue
            for one in reversed(joint.entries):  # each is put before those that wait
                if not one.ended:
                    self._worker_lost(one, code)
        self.worker_free()

    def _worker_lost(self, entry: Entry, code: int) -> None:
        if entry.unwanted:
            self._end(entry, State.cancelled, "cancelled; the worker was stopped")
        elif entry.attempts < 2 and (entry.job.state is State.warming or entry.job.corrects is not None):
            self.scheduler.requeue(entry)
            entry.job.joined = None
        else:
            how = how_it_ended(code)
            when = " while the job was paused" if entry.job.state is State.paused else ""
            self._end(entry, State.failed, f"the worker process {how}{when}; it may have run out of memory")

    def _take_result(self, entry: Entry, message: dict[str, Any]) -> None:
        entry.job.residual = list(message.get("residual") or [])
        self._records.note_parts(entry.job)
        self._records.save(entry.job)
        self.on_growth()

    def _report_written(self, job: str) -> None:
        for entry in self.book.with_result_of(job):
            self._joints.share_report(job, entry)
            entry.reporting = False
            self._records.note_parts(entry.job)
            self._records.save(entry.job)
        self.on_growth()

    def _tell(self, entry: Entry, message: str) -> None:
        if entry.cancel_by is None:
            entry.job.message = message

    def _fail_waiting(self, message: str) -> None:
        for entry in self.scheduler:
            if entry.job.state in (State.queued, State.warming):
                self._end(entry, State.failed, message)

    def _end(self, entry: Entry, state: State, message: str) -> None:
        self.scheduler.end(entry, state, message, self.keep_seconds)
        self._records.note_parts(entry.job)
        if entry.job.corrects is not None:
            root = self.book.keep_together(entry)
            if root is not None:
                self._records.save(root.job)
            entry.job.message += "" if state is State.done else KEPT if entry.job.parts else UNCHANGED
        if entry.removing:
            self.drop(entry)
        else:
            self._records.save(entry.job)
