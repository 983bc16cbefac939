"""Where undo and redo lead, whatever corrections have become of."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.jobs.contract import Job, JobRequest, Part, State
from monai_semgan.jobs.correction_history import History, HistoryRecord, StepRecord
from monai_semgan.jobs.job_errors import Conflict, JobError

pytestmark = pytest.mark.label

ROOT = "f" * 32


def job_id(number: int) -> str:
    """Id of the job of a correction."""
    return f"{number:032x}"


def step(number: int) -> StepRecord:
    """A correction."""
    return StepRecord(
        number=number,
        job=job_id(number),
        structures=["liver"],
        kinds=["scribble"],
        voxels=1,
        reach_mm=0.0,
        locked=[],
        created=number,
    )


class Jobs:
    """Jobs of corrections, as they stand."""

    def __init__(self) -> None:
        self.known: dict[str, Job] = {}

    def add(self, number: int, state: State, found: bool = True, joined: int | None = None) -> StepRecord:
        self.known[job_id(number)] = Job(
            id=job_id(number),
            state=state,
            request=JobRequest(image="ct"),
            created=number,
            parts=[Part.label] if found else [],
            joined=None if joined is None else job_id(joined),
        )
        return step(number)

    def history(self, *steps: StepRecord) -> History:
        record = HistoryRecord(job=ROOT, steps=list(steps), next_number=len(steps) + 1)
        return History(record, self.known.get)


def test_what_has_no_result_is_passed_by_undo_and_redo() -> None:
    jobs = Jobs()
    history = jobs.history(jobs.add(1, State.done), jobs.add(2, State.failed, False), jobs.add(3, State.done))
    assert history.current == 3 and history.target(2) == 1
    undone = History(history.moved_to(1), jobs.known.get)
    assert undone.current == 1 and undone.target(2) == 3


def test_a_partial_result_of_a_cancelled_correction_is_a_state() -> None:
    jobs = Jobs()
    history = jobs.history(jobs.add(1, State.done), jobs.add(2, State.cancelled))
    assert history.current == 2 and history.target(1) == 1


def test_numbers_that_do_not_exist_are_named_with_those_that_do() -> None:
    jobs = Jobs()
    with pytest.raises(JobError, match="there is no correction 7; known are 0, 1"):
        jobs.history(jobs.add(1, State.done)).target(7)


def test_what_is_being_computed_cannot_be_gone_to_and_counts_as_nothing_yet() -> None:
    jobs = Jobs()
    history = jobs.history(jobs.add(1, State.done), jobs.add(2, State.running))
    assert history.current == 1 and [one.number for one in history.pending()] == [2]
    with pytest.raises(Conflict, match="not done yet"):
        history.target(2)


def test_a_joined_correction_stands_by_itself_when_the_one_it_joined_is_removed() -> None:
    jobs = Jobs()
    history = jobs.history(jobs.add(1, State.done, joined=2), jobs.add(2, State.done))
    assert [one.number for one in history.states()] == [2]
    del jobs.known[job_id(2)]
    assert History(history.without(job_id(2)), jobs.known.get).current == 1


@given(st.integers(1, 120), st.integers(1, 50))
def test_no_more_are_kept_than_wanted_and_the_newest_are_among_them(made: int, kept: int) -> None:
    jobs = Jobs()
    history = jobs.history()
    for number in range(1, made + 1):
        history = History(history.with_step(jobs.add(number, State.done), kept), jobs.known.get)
    numbers = [one.number for one in history.record.steps]
    assert numbers[-1] == history.current == made and numbers == sorted(numbers)
    assert max(1, min(made, kept)) <= len(numbers) <= max(2, kept)


@given(st.lists(st.tuples(st.sampled_from(list(State)), st.booleans()), max_size=6), st.data())
def test_undo_and_redo_always_end_at_a_result_or_at_the_job_itself(
    ends: list[tuple[State, bool]], data: st.DataObject
) -> None:
    jobs = Jobs()
    history = jobs.history(*(jobs.add(n, state, found) for n, (state, found) in enumerate(ends, start=1)))
    for _ in range(3):
        wanted = data.draw(st.integers(0, len(ends)))
        try:
            target = history.target(wanted)
        except Conflict:
            continue
        history = History(history.moved_to(target), jobs.known.get)
        assert history.current == target and target in [0, *(one.number for one in history.states())]
