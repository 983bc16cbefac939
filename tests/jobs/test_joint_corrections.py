"""Corrections that a worker computes as one, whatever workers and clients do meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.jobs import correction_book
from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.correction_history import StepRecord
from monai_semgan.jobs.job_entries import Entry, Origin, Turn
from tests.jobs.test_dispatcher import Desk

pytestmark = pytest.mark.label

ROOT = "f" * 32


class CorrectionDesk(Desk):
    """A dispatcher with a worker, a job that is corrected, and a preview that runs."""

    def __init__(self) -> None:
        super().__init__()
        planner: Any = self.dispatcher.correction_planner
        planner.plan = lambda joint: None
        self.root = self.jobs.remember(Job(id=ROOT, state=State.done, request=JobRequest(image="ct"), created=0.0))

    def correct(self, number: int, reach_mm: float = 0.0) -> Entry:
        job = Job(
            id=f"{number + 100:032x}",
            state=State.queued,
            request=JobRequest(image="ct"),
            created=number,
            corrects=ROOT,
            correction=number,
        )
        history = self.dispatcher.book.history(ROOT)
        step = StepRecord(
            number=number,
            job=job.id,
            structures=[],
            kinds=[],
            voxels=1,
            reach_mm=reach_mm,
            locked=[],
            created=number,
        )
        self.dispatcher.book.put(history.with_step(step, 50))
        return self.dispatcher.add(job, Origin(turn=Turn.preview, report=False))

    @property
    def slot(self) -> Any:
        return self.pool.slots[0]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> CorrectionDesk:
    monkeypatch.setattr(correction_book, "save_history", lambda folder, record: None)
    return CorrectionDesk()


def three_of_which_two_wait(desk: CorrectionDesk) -> list[Entry]:
    """Three corrections; the first one has ended, the others are with the worker."""
    entries = [desk.correct(number) for number in (1, 2, 3)]
    assert [entry.job.state for entry in entries] == [State.warming, State.queued, State.queued]
    desk.end(desk.slot, entries[0])
    assert desk.slot.quick == entries[2].job.id
    assert [entry.job.joined for entry in entries] == [None, entries[2].job.id, None]
    return entries


def test_progress_and_end_of_the_newest_are_those_of_all(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    desk.say(desk.slot, "started", third.job.id)
    desk.say(desk.slot, "progress", third.job.id, step=2, steps=9, slices=30, message="correcting")
    assert {(one.job.state, one.job.step, one.job.steps) for one in (second, third)} == {(State.running, 2, 9)}
    desk.end(desk.slot, third)
    assert second.job.state is third.job.state is State.done and second.job.message.endswith("with correction 3")


def test_all_go_back_to_the_queue_in_their_order_when_the_worker_dies_before_it_has_begun(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    desk.die(desk.slot)
    assert [entry.job.id for entry in desk.jobs.queue()] == [second.job.id, third.job.id]
    assert second.job.joined is None
    fourth = desk.correct(4)
    desk.revive(desk.slot)
    assert desk.slot.quick == fourth.job.id and second.job.joined == third.job.joined == fourth.job.id


def test_a_worker_that_dies_while_it_computes_is_followed_by_another_and_no_third_one(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    for state in (State.queued, State.failed):
        desk.say(desk.slot, "started", third.job.id)
        desk.die(desk.slot)
        assert second.job.state is third.job.state is state
        desk.revive(desk.slot)
    assert third.job.message.endswith("the label stays as it was")


@pytest.mark.parametrize(("gone", "stays"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("said", ["cancelled", "done"])
def test_one_of_those_that_are_computed_together_is_cancelled_alone(
    desk: CorrectionDesk, gone: int, stays: int, said: str
) -> None:
    entries = three_of_which_two_wait(desk)
    desk.say(desk.slot, "started", entries[2].job.id)
    desk.dispatcher.cancel(entries[gone])
    assert ("cancel", entries[2].job.id) in desk.slot.process.heard
    desk.end(desk.slot, entries[2], said)  # it may have been done already when it heard of the wish
    assert entries[gone].job.state is State.cancelled
    assert entries[gone].job.message == "cancelled; the label stays as it was"
    assert desk.slot.quick == entries[stays].job.id and entries[stays].job.joined is None
    desk.end(desk.slot, entries[stays])
    assert entries[stays].job.state is State.done and entries[stays].job.message == "done"


def test_others_of_those_that_are_computed_together_stay_together_without_it(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    fourth, fifth = desk.correct(4), desk.correct(5)
    desk.end(desk.slot, third)
    assert desk.slot.quick == fifth.job.id and second.job.state is State.done
    sixth = desk.correct(6)
    desk.dispatcher.remove(fourth)
    desk.end(desk.slot, fifth, "cancelled")
    assert desk.jobs.held(fourth.job.id) is None
    assert desk.slot.quick == sixth.job.id and fifth.job.joined == sixth.job.id


def test_all_of_those_that_are_computed_together_can_be_cancelled(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    for entry in (third, second):
        desk.dispatcher.cancel(entry)
    desk.end(desk.slot, third, "cancelled")
    assert second.job.state is third.job.state is State.cancelled and desk.slot.quick is None


def test_a_worker_that_does_not_hear_of_a_cancelled_one_is_stopped_and_the_others_go_on(
    desk: CorrectionDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, third = three_of_which_two_wait(desk)
    desk.dispatcher.cancel(second)
    assert second.cancel_by is not None
    monkeypatch.setattr("monai_semgan.jobs.dispatcher.time.monotonic", lambda late=second.cancel_by + 1: late)
    desk.dispatcher.tend()
    assert desk.slot.process.killed
    desk.die(desk.slot)
    desk.revive(desk.slot)
    assert second.job.state is State.cancelled and desk.slot.quick == third.job.id and third.attempts == 1


def test_a_page_that_comes_when_its_job_is_gone_is_not_waited_for(desk: CorrectionDesk) -> None:
    _, second, third = three_of_which_two_wait(desk)
    second.reporting = True
    desk.say(desk.slot, "end", third.job.id, state="done", message="done")
    second.reporting = True
    desk.dispatcher.remove(third)
    desk.say(desk.slot, "parts", third.job.id)
    assert not second.reporting


def test_a_correction_waits_for_the_one_before_it_but_not_for_those_of_other_jobs(desk: CorrectionDesk) -> None:
    first, second = desk.correct(1), desk.correct(2, reach_mm=5.0)
    desk.pool.slots.append(type(desk.slot)(["true"], device="cpu"))
    desk.revive(desk.pool.slots[1])
    assert desk.slot.quick == first.job.id and second.job.state is State.queued
    assert desk.pool.slots[1].quick is None
    desk.end(desk.slot, first)
    assert second.job.state is State.warming


def test_a_job_goes_with_its_corrections(desk: CorrectionDesk) -> None:
    first = desk.correct(1)
    desk.dispatcher.remove(desk.root)
    assert desk.jobs.get(ROOT) is None and desk.jobs.get(first.job.id) is None
    desk.end(desk.slot, first, "cancelled")
    assert desk.jobs.held(first.job.id) is None and desk.slot.quick is None


def test_a_corrected_job_stays_as_long_as_its_newest_correction(desk: CorrectionDesk) -> None:
    desk.root.job.expires = 1.0
    first = desk.correct(1)
    desk.end(desk.slot, first)
    assert first.job.expires is not None and desk.root.job.expires == first.job.expires
