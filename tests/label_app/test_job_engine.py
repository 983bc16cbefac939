"""Whose turn the inferences of MONAI Label's routes take, and whose jobs they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.jobs.contract import Job, JobRequest, State
from monai_semgan.jobs.job_entries import Turn
from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.label_app.infer_request import InferRequest
from monai_semgan.label_app.job_engine import JobEngine

pytestmark = pytest.mark.label


class Service:
    """Fails every job, and remembers what was asked for; `waiting` jobs of others are there for the first one."""

    def __init__(self, state: State = State.failed) -> None:
        self.asked: list[tuple[Asker, Turn | None]] = []
        self.state, self.cancelled, self.removed = state, 0, 0
        self.scheduler: Any = type("Waiting", (), {"waiting": 0})()

    def submit(self, request: JobRequest, asker: Asker, report: bool, turn: Turn | None) -> Job:
        self.asked.append((asker, turn))
        assert not report
        return self.job("")

    def job(self, job: str) -> Job:
        ended = self.cancelled > 0 or self.state is State.failed
        state = State.cancelled if self.cancelled else self.state
        request = JobRequest(image="x")
        return Job(id="0" * 32, state=state, request=request, created=1.0, finished=2.0 if ended else None)

    def cancel(self, job: str) -> None:
        self.cancelled += 1

    def remove(self, job: str) -> None:
        self.removed += 1


def engine(service: Service) -> JobEngine:
    made = JobEngine({1: "liver"})
    made.service = service  # type: ignore[assignment]
    return made


def ask(made: JobEngine) -> None:
    with pytest.raises(SemganError):
        made.segment(str(Path("scan.nii.gz")), InferRequest("preview"))


def test_a_clients_preview_goes_first_a_batchs_waits_and_what_nobody_waits_for_comes_last() -> None:
    service = Service()
    made = engine(service)
    ask(made)
    with made.queueing():
        ask(made)
    with made.giving_way():
        ask(made)
    ask(made)
    assert [turn for _, turn in service.asked] == [None, Turn.ordinary, Turn.spare, None]
    assert service.removed == 4


def test_an_inference_is_the_job_of_who_has_asked_for_it() -> None:
    service, anna = Service(), Asker.named("user:anna")
    made = engine(service)
    with made.stoppable(lambda: False, anna):
        ask(made)
    ask(made)
    assert [asker for asker, _ in service.asked] == [anna, NOBODY]


@pytest.mark.parametrize("state", [State.queued, State.running, State.paused])
def test_an_inference_whose_client_has_gone_is_cancelled_also_while_it_is_paused(state: State) -> None:
    service = Service(state)
    made = engine(service)
    with made.stoppable(lambda: True):
        ask(made)
    assert service.cancelled >= 1 and service.removed == 1
