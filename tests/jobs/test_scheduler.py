"""Order, positions and estimated times of jobs."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.jobs import scheduler as module
from monai_semgan.jobs.contract import Job, JobRequest, Mode, State
from monai_semgan.jobs.scheduler import Entry, Scheduler

pytestmark = pytest.mark.label


class Clock:
    """Time that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def job(number: int, mode: Mode = Mode.invert, state: State = State.queued) -> Job:
    request = JobRequest(image="ct", mode=mode, model="m")
    return Job(id=f"{number:032x}", state=state, request=request, created=float(number))


def run(scheduler: Scheduler, entry: Entry, clock: Clock, seconds: float) -> None:
    """Take a job through a whole run."""
    entry.job.state, entry.job.started = State.running, clock.now
    clock.now += seconds
    scheduler.end(entry, State.done, "done", keep_seconds=60)


def step(scheduler: Scheduler, entry: Entry, number: int, steps: int = 10) -> None:
    message = {"step": number, "steps": steps, "slices": 4, "converged": number // 2, "loss": 1.0 / (number + 1)}
    scheduler.progress(entry, message)


def test_jobs_run_in_the_order_they_came(clock: Clock) -> None:
    scheduler = Scheduler()
    entries = [scheduler.enqueue(job(number)) for number in range(3)]
    assert [scheduler.snapshot(entry).position for entry in entries] == [0, 1, 2]
    assert scheduler.next() is entries[0]
    entries[0].job.state = State.running
    assert [scheduler.snapshot(entry).position for entry in entries] == [None, 0, 1]
    scheduler.forget(entries[1].job.id)
    assert scheduler.snapshot(entries[2]).position == 0 and scheduler.next() is entries[2]
    assert scheduler.next() is None


def test_the_time_left_comes_from_the_latest_steps(clock: Clock) -> None:
    scheduler = Scheduler()
    entry = scheduler.enqueue(job(0))
    scheduler.next()
    entry.job.state, entry.job.started = State.running, clock.now
    assert scheduler.snapshot(entry).eta_seconds is None
    for number, seconds in enumerate((0, 100, 2, 2, 2, 2, 2)):  # the first step is slow
        clock.now += seconds
        step(scheduler, entry, number)
    assert scheduler.snapshot(entry).eta_seconds == pytest.approx(2 * 4)
    clock.now += 1
    assert scheduler.snapshot(entry).eta_seconds == pytest.approx(7)
    assert entry.job.slices_converged == 3 and len(entry.job.loss) == 7


def test_a_waiting_job_waits_for_those_before_it_as_well(clock: Clock) -> None:
    scheduler = Scheduler()
    first, second, third = (scheduler.enqueue(job(number)) for number in range(3))
    assert scheduler.snapshot(third).eta_seconds is None  # nothing was measured
    scheduler.next()
    run(scheduler, first, clock, 30.0)
    assert scheduler.snapshot(second).eta_seconds == pytest.approx(30)
    assert scheduler.snapshot(third).eta_seconds == pytest.approx(60)
    scheduler.next()
    second.job.state, second.job.started = State.running, clock.now
    clock.now += 10
    assert scheduler.snapshot(third).eta_seconds == pytest.approx(50)
    scheduler.workers = 2
    assert scheduler.snapshot(third).eta_seconds == pytest.approx(40)


def test_times_of_an_earlier_server_count(clock: Clock) -> None:
    scheduler = Scheduler()
    done = job(0, Mode.preview, State.done)
    done.started, done.finished = 5.0, 17.0
    scheduler.remember(done)
    assert scheduler.measured == {("m", Mode.preview): 12.0}
    assert scheduler.snapshot(scheduler.enqueue(job(1, Mode.preview))).eta_seconds == pytest.approx(12)


def test_what_is_being_cancelled_says_so_whatever_the_worker_tells(clock: Clock) -> None:
    scheduler = Scheduler()
    entry = scheduler.enqueue(job(0))
    entry.job.message, entry.cancel_by = "is being cancelled", clock.now + 5
    scheduler.progress(entry, {"message": "inverting step 3 of 10"})
    assert entry.job.message == "is being cancelled"


def test_a_loss_that_is_no_number_is_left_out(clock: Clock) -> None:
    scheduler = Scheduler()
    entry = scheduler.enqueue(job(0))
    scheduler.progress(entry, {"step": 1, "steps": 2, "slices": 4, "loss": None})
    assert entry.job.loss == [] and entry.job.step == 1
