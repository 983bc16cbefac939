"""Order, positions and estimated times of jobs."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.jobs import job_entries, scheduler
from monai_semgan.jobs.contract import Job, JobRequest, Mode, State
from monai_semgan.jobs.estimates import Measured
from monai_semgan.jobs.job_entries import LONGEST_PAUSE, Entry, Origin, Turn
from monai_semgan.jobs.scheduler import OVERDUE, Scheduler

pytestmark = pytest.mark.label

PREVIEW, INVERT = Mode.preview, Mode.invert
numbers = itertools.count()


class Clock:
    """Time that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (job_entries, scheduler):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1_700_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def job(mode: Mode = INVERT, state: State = State.queued, image: str = "ct", steps: int | None = None) -> Job:
    request = JobRequest(image=image, mode=mode, model="m", steps=steps)
    number = next(numbers)
    return Job(id=f"{number:032x}", state=state, request=request, created=float(number))


def enqueue(jobs: Scheduler, mode: Mode = INVERT, turn: Turn | None = None, **of_job: object) -> Entry:
    """A job that waits."""
    turn = turn if turn is not None else Turn.preview if mode is PREVIEW else Turn.ordinary
    return jobs.enqueue(job(mode, **of_job), Origin(turn=turn))  # type: ignore[arg-type]


def begin(jobs: Scheduler, entry: Entry) -> None:
    jobs.take(entry)
    entry.begin()


def pause(entry: Entry) -> None:
    entry.hold()
    entry.job.state = State.paused


def go_on(entry: Entry) -> None:
    entry.release()
    entry.job.state = State.running


def measured(jobs: Scheduler, mode: Mode, seconds: float, slices: int = 100, steps: int | None = None) -> None:
    """Let a job of a kind have taken a time here."""
    jobs.estimates.measured["m", mode] = Measured(seconds, None, slices, steps)


def step(jobs: Scheduler, entry: Entry, number: int, steps: int = 10) -> None:
    message = {"step": number, "steps": steps, "slices": 4, "converged": number // 2, "loss": 1.0 / (number + 1)}
    jobs.progress(entry, message)


def order(jobs: Scheduler) -> list[Entry]:
    return jobs.queue()


def eta(jobs: Scheduler, entry: Entry) -> float | None:
    return jobs.snapshot(entry).eta_seconds


def test_jobs_of_one_kind_run_in_the_order_they_came() -> None:
    jobs = Scheduler()
    first, second, third = (enqueue(jobs) for _ in range(3))
    assert [jobs.snapshot(entry).position for entry in (first, second, third)] == [0, 1, 2]
    begin(jobs, first)
    assert [jobs.snapshot(entry).position for entry in (first, second, third)] == [None, 0, 1]
    jobs.forget(second.job.id)
    assert jobs.snapshot(third).position == 0 and order(jobs) == [third]


@given(st.lists(st.sampled_from(Turn), max_size=12))
def test_previews_go_before_inversions_and_these_before_what_nobody_waits_for(turns: list[Turn]) -> None:
    jobs = Scheduler()
    came = [enqueue(jobs, turn=turn) for turn in turns]
    assert order(jobs) == sorted(came, key=lambda entry: entry.origin.turn)  # sorting keeps the order within a turn
    assert [jobs.snapshot(entry).position for entry in order(jobs)] == list(range(len(came)))
    previews = [entry for entry in came if entry.quick]
    assert jobs.waiting_for(quick=True) is (previews[0] if previews else None)


def test_a_job_that_could_not_begin_comes_back_before_the_others_of_its_kind() -> None:
    jobs = Scheduler()
    first, second, preview = enqueue(jobs), enqueue(jobs), enqueue(jobs, PREVIEW)
    jobs.take(first)
    jobs.requeue(first)
    assert order(jobs) == [preview, first, second]


def test_the_time_left_comes_from_the_latest_steps_and_from_what_followed_the_last_one_before(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    begin(jobs, entry)
    assert eta(jobs, entry) is None
    jobs.estimates.measured["m", INVERT] = Measured(50.0, 3.0, 4, 10)
    for number, seconds in enumerate((0, 100, 2, 2, 2, 2, 2)):  # the first step is slow
        clock.now += seconds
        step(jobs, entry, number)
    assert eta(jobs, entry) == pytest.approx(2 * 4 + 3)
    clock.now += 1
    assert eta(jobs, entry) == pytest.approx(10)
    assert entry.job.slices_converged == 3 and len(entry.job.loss) == 7


def test_time_in_which_previews_went_first_is_no_time_of_the_inversions(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    begin(jobs, entry)
    jobs.estimates.measured["m", INVERT] = Measured(50.0, 0.0, 4, 10)
    for number in range(6):
        clock.now += 2
        step(jobs, entry, number)
    pause(entry)
    clock.now += 60
    assert eta(jobs, entry) == pytest.approx(10) and jobs.snapshot(entry).message != OVERDUE
    go_on(entry)
    clock.now += 2
    step(jobs, entry, 6)
    assert eta(jobs, entry) == pytest.approx(8) and entry.job.paused_seconds == pytest.approx(60)
    clock.now += 8
    jobs.end(entry, State.done, "done", keep_seconds=60)
    assert jobs.estimates.seconds("m", INVERT) == pytest.approx(22)


def test_a_waiting_job_waits_for_those_before_it_as_well(clock: Clock) -> None:
    jobs = Scheduler()
    first, second, third = (enqueue(jobs) for _ in range(3))
    assert eta(jobs, third) is None  # nothing was measured
    begin(jobs, first)
    clock.now += 30
    jobs.end(first, State.done, "done", keep_seconds=60)
    assert eta(jobs, second) == pytest.approx(30) and eta(jobs, third) == pytest.approx(60)
    begin(jobs, second)
    clock.now += 10
    assert eta(jobs, third) == pytest.approx(50)
    jobs.workers = 2
    assert eta(jobs, third) == pytest.approx(40)


def test_a_preview_does_not_wait_for_the_inversion_that_runs_but_for_previews(clock: Clock) -> None:
    jobs = Scheduler()
    measured(jobs, INVERT, 300)
    measured(jobs, PREVIEW, 5)
    running, waiting = enqueue(jobs), enqueue(jobs)
    begin(jobs, running)
    first, second = enqueue(jobs, PREVIEW), enqueue(jobs, PREVIEW)
    assert [eta(jobs, entry) for entry in (first, second)] == [5, 10]
    begin(jobs, first)
    pause(running)
    clock.now += 2
    assert [eta(jobs, entry) for entry in (first, second)] == [3, 8]
    assert eta(jobs, running) == pytest.approx(300 + 8)  # paused until both are done
    assert eta(jobs, waiting) == pytest.approx(300 + 300 + 8)
    assert [jobs.snapshot(entry).position for entry in (second, waiting)] == [0, 1]


@pytest.mark.parametrize(
    ("mode", "slices", "steps", "expected"),
    [
        (PREVIEW, 200, None, 20),
        (PREVIEW, 50, None, 5),
        (PREVIEW, None, None, 10),
        (INVERT, 100, 60, 10),
        (INVERT, 100, 120, 20),
        (INVERT, 50, 30, 2.5),
        (INVERT, 100, None, 15),  # the model's own: 90 steps
    ],
)
def test_measured_times_are_scaled_by_slices_and_steps(
    mode: Mode, slices: int | None, steps: int | None, expected: float, clock: Clock
) -> None:
    jobs = Scheduler(default_steps={("m", INVERT): 90})
    measured(jobs, mode, 10, slices=100, steps=None if mode is PREVIEW else 60)
    entry = enqueue(jobs, mode, steps=steps)
    entry.job.slices = slices
    assert eta(jobs, entry) == pytest.approx(expected)


def test_the_slices_of_a_scan_are_remembered_while_a_job_about_it_is_there(clock: Clock) -> None:
    jobs = Scheduler()
    measured(jobs, PREVIEW, 10, slices=100)
    long_scan = enqueue(jobs, PREVIEW, image="long")
    begin(jobs, long_scan)
    long_scan.job.slices = 300
    jobs.end(long_scan, State.cancelled, "", keep_seconds=60)
    again = enqueue(jobs, PREVIEW, image="long")
    assert eta(jobs, again) == pytest.approx(30)
    jobs.forget(long_scan.job.id)
    jobs.forget(again.job.id)
    assert eta(jobs, enqueue(jobs, PREVIEW, image="long")) == pytest.approx(10)


def test_a_job_that_should_have_ended_says_so_and_nobody_knows_when_those_after_it_will(clock: Clock) -> None:
    jobs = Scheduler()
    measured(jobs, INVERT, 30)
    running, waiting = enqueue(jobs), enqueue(jobs)
    begin(jobs, running)
    running.job.message = "inverting step 3 of 10"
    clock.now += 29
    assert eta(jobs, running) == 1 and jobs.snapshot(running).message == "inverting step 3 of 10"
    clock.now += 2
    late = jobs.snapshot(running)
    assert late.eta_seconds is None and late.message == OVERDUE
    assert eta(jobs, waiting) is None
    running.cancel_by, running.job.message = clock.now + 5, "is being cancelled"
    assert jobs.snapshot(running).message == "is being cancelled"


def test_an_inversion_is_not_held_up_for_ever(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    begin(jobs, entry)
    held, ran = 0.0, 0.0
    for _ in range(2000):  # previews come without end
        if entry.yields():
            pause(entry)
            held += 4
            clock.now += 4
            go_on(entry)
            clock.now += 0.01
        else:
            ran += 1
            clock.now += 1
    assert ran >= 0.2 * (held + ran) * 0.95
    assert entry.job.paused_seconds == pytest.approx(held)


def test_previews_that_come_now_and_then_never_wait(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    begin(jobs, entry)
    for _ in range(500):
        assert entry.yields()
        pause(entry)
        clock.now += 10
        go_on(entry)
        clock.now += 5


def test_a_preview_knows_of_the_turn_that_an_inversion_has_before_it(clock: Clock) -> None:
    jobs = Scheduler()
    measured(jobs, PREVIEW, 5)
    running = enqueue(jobs)
    begin(jobs, running)
    pause(running)
    clock.now += LONGEST_PAUSE
    go_on(running)
    waiting = enqueue(jobs, PREVIEW)
    assert not running.yields() and eta(jobs, waiting) == pytest.approx(30 + 5)
    clock.now += 20
    assert eta(jobs, waiting) == pytest.approx(10 + 5)
    clock.now += 10
    assert running.yields()


def test_times_of_an_earlier_server_count(clock: Clock) -> None:
    jobs = Scheduler()
    done = job(PREVIEW, State.done)
    done.started, done.finished, done.paused_seconds = 5.0, 20.0, 3.0
    jobs.remember(done)
    assert jobs.estimates.seconds("m", PREVIEW) == 12.0
    assert eta(jobs, enqueue(jobs, PREVIEW)) == pytest.approx(12)


def test_corrections_and_previews_have_times_of_their_own(clock: Clock) -> None:
    jobs = Scheduler()
    for corrects, seconds in ((None, 12.0), ("f" * 32, 3.0)):
        done = job(PREVIEW, State.done)
        done.corrects, done.started, done.finished = corrects, 0.0, seconds
        jobs.remember(done)
    preview, correction = enqueue(jobs, PREVIEW), enqueue(jobs, PREVIEW)
    correction.job.corrects = "f" * 32
    assert jobs.estimates.seconds("m", PREVIEW) == 12.0
    assert eta(jobs, preview) == pytest.approx(12) and eta(jobs, correction) == pytest.approx(12 + 3)


def test_what_is_being_cancelled_says_so_whatever_the_worker_tells(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    entry.job.message, entry.cancel_by = "is being cancelled", clock.now + 5
    jobs.progress(entry, {"message": "inverting step 3 of 10"})
    assert entry.job.message == "is being cancelled"


def test_a_loss_that_is_no_number_is_left_out(clock: Clock) -> None:
    jobs = Scheduler()
    entry = enqueue(jobs)
    jobs.progress(entry, {"step": 1, "steps": 2, "slices": 4, "loss": None})
    assert entry.job.loss == [] and entry.job.step == 1


def test_a_job_is_told_to_be_mine_only_to_who_has_started_it(clock: Clock) -> None:
    jobs = Scheduler()
    owned, anybodys = jobs.enqueue(job(), Origin(owner="a")), jobs.enqueue(job())
    assert [jobs.snapshot(owned, asker).mine for asker in ("a", "b", None)] == [True, False, False]
    assert [jobs.snapshot(anybodys, asker).mine for asker in ("a", None)] == [None, None]
