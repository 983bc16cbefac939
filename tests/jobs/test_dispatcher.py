"""Which worker gets which job, and what becomes of jobs whatever workers, clients and time do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monai_semgan.jobs import dispatcher as dispatching
from monai_semgan.jobs.contract import Job, JobRequest, Mode, State
from monai_semgan.jobs.dispatcher import Dispatcher
from monai_semgan.jobs.job_entries import Entry, Origin, Turn
from monai_semgan.jobs.job_errors import JobError
from monai_semgan.jobs.workers.messages import Task
from monai_semgan.jobs.workers.pool import JobSlot

pytestmark = pytest.mark.label

ROLES = (State.running, State.paused)


class Store:
    """Jobs that lie nowhere."""

    def __init__(self) -> None:
        self.saved: dict[str, Job] = {}

    def save(self, job: Job) -> None:
        self.saved[job.id] = job.model_copy(deep=True)

    def save_origin(self, job: str, origin: Origin) -> None:
        pass

    def remove(self, job: str) -> None:
        self.saved.pop(job, None)

    def folder(self, job: str) -> Path:
        return Path("/nowhere")

    def results(self, job: str) -> Path:
        return Path("/nowhere")

    def load(self) -> list[Any]:
        return [(job.model_copy(deep=True), Origin()) for job in self.saved.values()]


class Planner:
    """Makes tasks of jobs whose scan is there."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def default_steps(self) -> dict[Any, int]:
        return {}

    def task(self, job: Job, origin: Origin) -> Task:
        if job.id in self.gone:
            raise JobError("the scan was removed")
        return Task(job.id, "", "", "", job.request.mode.value, (), quick=origin.turn is Turn.preview)


class Process:
    """A worker that does what a test says."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.killed = False

    def send(self, say: str, **values: Any) -> None:
        self.heard.append((say, values["job"] if "job" in values else values["task"]["job"]))

    def kill(self) -> None:
        self.killed = True


class Desk:
    """A dispatcher with workers that a test plays."""

    def __init__(self, workers: int = 1) -> None:
        self.store, self.planner = Store(), Planner()
        store: Any = self.store
        planner: Any = self.planner
        self.dispatcher = Dispatcher(
            store, planner, ["true"], ["cpu"] * workers, threading.RLock(), 60.0, 30.0, lambda: None
        )
        self.pool, self.jobs = self.dispatcher.pool, self.dispatcher.scheduler
        for slot in self.pool.slots:
            self.revive(slot)
        self.count = 0

    def revive(self, slot: JobSlot) -> None:
        process: Any = Process()
        slot.process, slot.ready, slot.start_at = process, True, None
        self.dispatcher.worker_free()

    def submit(self, mode: Mode, turn: Turn | None = None) -> Entry:
        self.count += 1
        request = JobRequest(image="ct", mode=mode)
        job = Job(id=f"{self.count:032x}", state=State.queued, request=request, created=self.count)
        return self.dispatcher.add(job, Origin(turn=turn or (Turn.preview if mode is Mode.preview else Turn.ordinary)))

    def say(self, slot: JobSlot, said: str, job: str, **values: Any) -> None:
        self.pool.heard(slot, {"say": said, "job": job, **values})

    def end(self, slot: JobSlot, entry: Entry, state: str = "done") -> None:
        self.say(slot, "end", entry.job.id, state=state, message=state)
        self.say(slot, "parts", entry.job.id)

    def die(self, slot: JobSlot) -> None:
        slot.process = None
        self.pool.died(slot, -9, True)


def test_a_preview_is_given_to_the_worker_that_computes_an_inversion() -> None:
    desk = Desk()
    inversion, waiting = desk.submit(Mode.invert), desk.submit(Mode.refine)
    preview, second = desk.submit(Mode.preview), desk.submit(Mode.preview)
    (slot,) = desk.pool.slots
    assert (slot.job, slot.quick) == (inversion.job.id, preview.job.id)
    assert [entry.job.state for entry in (waiting, second)] == [State.queued] * 2
    desk.end(slot, preview)
    assert slot.quick == second.job.id and waiting.job.state is State.queued


def test_a_preview_is_given_to_a_worker_with_nothing_to_do_where_there_is_one() -> None:
    desk = Desk(workers=2)
    inversion = desk.submit(Mode.invert)
    preview = desk.submit(Mode.preview)
    slots = {tuple(slot.jobs) for slot in desk.pool.slots}
    assert slots == {(inversion.job.id,), (preview.job.id,)}
    other = desk.submit(Mode.invert)  # beside a preview rather than nowhere
    assert other.job.state is State.warming and "previews go first" in other.job.message


def test_a_paused_job_says_why_and_that_it_goes_on() -> None:
    desk = Desk()
    inversion = desk.submit(Mode.invert)
    (slot,) = desk.pool.slots
    desk.say(slot, "started", inversion.job.id)
    desk.say(slot, "paused", inversion.job.id)
    assert inversion.job.state is State.paused and "previews go first" in inversion.job.message
    desk.say(slot, "resumed", inversion.job.id)
    assert inversion.job.state is State.running


def test_a_paused_job_whose_worker_died_says_so_and_a_preview_that_had_not_begun_begins_with_the_next_one() -> None:
    desk = Desk()
    inversion, preview = desk.submit(Mode.invert), desk.submit(Mode.preview)
    (slot,) = desk.pool.slots
    desk.say(slot, "started", inversion.job.id)
    desk.say(slot, "paused", inversion.job.id)
    desk.die(slot)
    assert inversion.job.state is State.failed and "while the job was paused" in inversion.job.message
    assert preview.job.state is State.queued
    desk.revive(slot)
    assert slot.quick == preview.job.id and slot.job is None


def test_a_preview_waits_when_previews_have_held_up_an_inversion_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    inversion = desk.submit(Mode.invert)
    monkeypatch.setattr(inversion, "yields", lambda: False)
    preview = desk.submit(Mode.preview)
    assert preview.job.state is State.queued
    monkeypatch.setattr(inversion, "yields", lambda: True)
    desk.dispatcher.worker_free()
    assert preview.job.state is State.warming


def test_a_job_whose_scan_is_gone_fails_when_its_turn_comes_and_the_next_one_runs() -> None:
    desk = Desk()
    first, second, third = (desk.submit(Mode.invert) for _ in range(3))
    desk.planner.gone.add(second.job.id)
    (slot,) = desk.pool.slots
    desk.end(slot, first)
    assert second.job.state is State.failed and "removed" in second.job.message
    assert slot.job == third.job.id


@pytest.mark.parametrize("state", [State.queued, State.warming, State.running, State.paused])
def test_a_job_that_had_not_ended_when_the_server_was_killed_is_interrupted(state: State) -> None:
    before, after = Desk(), Desk()
    entry = before.submit(Mode.invert)
    entry.job.state = state
    before.store.save(entry.job)
    after.store.saved = before.store.saved
    after.dispatcher.take_over()
    (found,) = after.jobs
    assert found.job.state is State.interrupted and after.store.saved[found.job.id].state is State.interrupted


class AnyDay(RuleBasedStateMachine):
    """Whatever happens in whatever order, every job is somewhere, and has one state."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(workers=2)
        self.entries: list[Entry] = []

    def _slots(self) -> list[JobSlot]:
        return [slot for slot in self.desk.pool.slots if slot.process is not None]

    @rule(mode=st.sampled_from([Mode.preview, Mode.invert]), spare=st.booleans())
    def submit(self, mode: Mode, spare: bool) -> None:
        self.entries.append(self.desk.submit(mode, Turn.spare if spare else None))

    @rule(data=st.data(), said=st.sampled_from(["started", "paused", "resumed", "progress", "result"]))
    def speak(self, data: st.DataObject, said: str) -> None:
        given = [(slot, job) for slot in self._slots() for job in slot.jobs]
        if not given:
            return
        slot, job = data.draw(st.sampled_from(given))
        entry = self.desk.jobs.held(job)
        assert entry is not None
        state = entry.job.state
        fits = {"started": state is State.warming, "resumed": state is State.paused, "progress": state in ROLES}
        fits |= {"result": state in ROLES, "paused": state is State.running and slot.job == job}
        if fits[said]:
            self.desk.say(slot, said, job, step=1, steps=5, slices=3)

    @rule(data=st.data(), state=st.sampled_from(["done", "failed", "cancelled"]))
    def finish(self, data: st.DataObject, state: str) -> None:
        given = [(slot, job) for slot in self._slots() for job in slot.jobs]
        if given:
            slot, job = data.draw(st.sampled_from(given))
            entry = self.desk.jobs.held(job)
            assert entry is not None
            self.desk.end(slot, entry, state)

    @rule(data=st.data(), removing=st.booleans())
    def give_up(self, data: st.DataObject, removing: bool) -> None:
        known = [entry for entry in self.desk.jobs if not entry.ended and not entry.removing]
        if known:
            entry = data.draw(st.sampled_from(known))
            (self.desk.dispatcher.remove if removing else self.desk.dispatcher.cancel)(entry)

    @rule(index=st.integers(0, 1))
    def worker_dies(self, index: int) -> None:
        slot = self.desk.pool.slots[index]
        if slot.process is not None:
            self.desk.die(slot)

    @precondition(lambda self: any(slot.process is None for slot in self.desk.pool.slots))
    @rule()
    def worker_comes_back(self) -> None:
        for slot in self.desk.pool.slots:
            if slot.process is None:
                self.desk.revive(slot)

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        queue = self.desk.jobs.queue()
        given = [job for slot in self.desk.pool.slots for job in slot.jobs]
        assert len(given) == len(set(given))
        for entry in self.desk.jobs:
            places = (entry in queue) + (entry.job.id in given)
            assert places == (0 if entry.ended else 1), entry
            assert (entry.job.state is State.queued) == (entry in queue)
            assert entry.ended or not entry.removing or entry.cancel_by is not None

    @invariant()
    def no_worker_is_idle_while_jobs_wait(self) -> None:
        waiting = self.desk.jobs.queue()
        for slot in self._slots():
            assert slot.quick is not None or not any(entry.quick for entry in waiting)
            assert slot.job is not None or all(entry.quick for entry in waiting)

    @invariant()
    def records_tell_the_end(self) -> None:
        for entry in self.entries:
            saved = self.desk.store.saved.get(entry.job.id)
            if entry.ended and self.desk.jobs.held(entry.job.id) is not None:
                assert saved is not None and saved.state is entry.job.state and saved.finished is not None

    @invariant()
    def everybody_can_ask(self) -> None:
        for job in self.desk.jobs.snapshots(self.desk.jobs):
            assert (job.position is not None) == (job.state is State.queued)
            assert job.eta_seconds is None or job.eta_seconds >= 0

    def teardown(self) -> None:
        for _ in range(200):  # let all work be done
            self.worker_comes_back()
            for slot in self._slots():
                for job in slot.jobs:
                    entry = self.desk.jobs.held(job)
                    assert entry is not None
                    self.desk.end(slot, entry)
        assert all(entry.ended for entry in self.desk.jobs) and not self.desk.jobs.waiting


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_worker_that_does_not_obey_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    inversion = desk.submit(Mode.invert)
    (slot,) = desk.pool.slots
    desk.say(slot, "started", inversion.job.id)
    desk.say(slot, "paused", inversion.job.id)
    desk.dispatcher.cancel(inversion)
    process: Any = slot.process
    assert process.heard[-1] == ("cancel", inversion.job.id) and not process.killed
    monkeypatch.setattr(inversion, "cancel_by", 0.0)
    monkeypatch.setattr(dispatching.time, "monotonic", lambda: 1.0)
    desk.dispatcher.tend()
    assert process.killed
