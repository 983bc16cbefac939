"""The corrections of one job: which states there are, which of them is in force, and where undo and redo lead.

A state is the label after a correction. Nothing here says which one is in force: that is the newest correction with a
result that is not undone, so that a server that was killed finds it by the records of its jobs.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from monai_semgan.jobs.contract import Job, JobId, Model, Part
from monai_semgan.jobs.correction_contract import CorrectionHistory, CorrectionStep, StrokeKind
from monai_semgan.jobs.job_entries import ENDED
from monai_semgan.jobs.job_errors import Conflict, JobError

JobOf = Callable[[str], "Job | None"]
"""Returns a job by its id."""


class StepRecord(Model):
    """What is kept on disk of a correction; the rest is in its job's record.

    Attributes:
        shown: number of the newest correction that the label has in it which came with the strokes; None: none came.
    """

    number: int
    job: JobId
    structures: list[str]
    kinds: list[StrokeKind]
    voxels: int
    reach_mm: float
    locked: list[str]
    created: float
    shown: int | None = None
    undone: bool = False


class HistoryRecord(Model):
    """What is kept on disk of the corrections of a job."""

    job: JobId
    next_number: int = 1
    steps: list[StepRecord] = Field(default_factory=list)


class History:
    """The corrections of one job.

    Args:
        record: what is kept of them.
        job_of: finds their jobs.
    """

    def __init__(self, record: HistoryRecord, job_of: JobOf) -> None:
        self.record, self._job_of = record, job_of

    @property
    def current(self) -> int:
        """Number of the correction in force; 0: the job's own result."""
        return max((step.number for step in self.states() if not step.undone), default=0)

    def states(self) -> list[StepRecord]:
        """List the corrections that have ended with a result of their own, the oldest first."""
        return [step for step in self.record.steps if self._is_state(step)]

    def followed(self) -> list[StepRecord]:
        """List the corrections whose strokes are in the state in force, the oldest first."""
        return [step for step in self.record.steps if not step.undone and self._has_label(step)]

    def before(self, number: int) -> StepRecord | None:
        """Return the correction whose result a correction goes on from; None: the job's own result."""
        earlier = [step for step in self.states() if not step.undone and step.number < number]
        return earlier[-1] if earlier else None

    def pending(self) -> list[StepRecord]:
        """List the corrections that have not ended."""
        return [step for step in self.record.steps if (job := self._job_of(step.job)) and job.state not in ENDED]

    def target(self, number: int) -> int:
        """Return the number of the state that is nearest to the wanted correction, from where one stands.

        Corrections that were computed together, and those without a result, are no states of their own: backwards they
        are passed, forwards they lead to the next one.

        Raises:
            JobError: if there is no such correction.
            Conflict: if it has no result.
        """
        known = [0, *(step.number for step in self.record.steps)]
        if number not in known:
            raise JobError(f"there is no correction {number}; known are {', '.join(map(str, known))}")
        if number in (step.number for step in self.pending()):
            raise Conflict(f"correction {number} is not done yet; wait for it or cancel it")
        states = [0, *(step.number for step in self.states())]
        if number <= self.current:
            return max(state for state in states if state <= number)
        later = [state for state in states if state >= number]
        if not later:
            raise Conflict(f"correction {number} has no result")
        return later[0]

    def moved_to(self, number: int) -> HistoryRecord:
        """Return the record in which a state is in force, and whatever comes after it is undone."""
        steps = [step.model_copy(update={"undone": step.number > number}) for step in self.record.steps]
        return self.record.model_copy(update={"steps": steps})

    def with_step(self, step: StepRecord, kept: int) -> HistoryRecord:
        """Return the record with another correction; what was undone goes, and the oldest beyond those to be kept."""
        waiting = {one.number for one in self.pending()}
        steps = [one for one in self.record.steps if not one.undone]
        spare = len(steps) + 1 - kept
        oldest = {one.number for one in steps[: max(0, spare)]} - waiting - {self.current}
        steps = [one for one in steps if one.number not in oldest]
        return self.record.model_copy(update={"steps": [*steps, step], "next_number": step.number + 1})

    def without(self, job: str) -> HistoryRecord:
        """Return the record without a correction."""
        return self.record.model_copy(update={"steps": [step for step in self.record.steps if step.job != job]})

    def told(self) -> CorrectionHistory:
        """Return what clients are told."""
        steps = [self._told(step, job) for step in self.record.steps if (job := self._job_of(step.job))]
        return CorrectionHistory(job=self.record.job, current=self.current, steps=steps)

    def _has_label(self, step: StepRecord) -> bool:
        job = self._job_of(step.job)
        return job is not None and job.state in ENDED and Part.label in job.parts

    def _is_state(self, step: StepRecord) -> bool:
        """Tell whether a correction has a result, and is the last of those with which it was computed."""
        job = self._job_of(step.job)
        last = job is None or job.joined is None or all(other.job != job.joined for other in self.record.steps)
        return last and self._has_label(step)

    def _told(self, step: StepRecord, job: Job) -> CorrectionStep:
        return CorrectionStep(
            number=step.number,
            job=step.job,
            state=job.state,
            structures=step.structures,
            kinds=step.kinds,
            voxels=step.voxels,
            reach_mm=step.reach_mm,
            created=step.created,
            message=job.message,
            undone=step.undone,
            joined=job.joined,
        )
