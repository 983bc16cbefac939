"""How long jobs will take: by their own steps, or as the last one like it took, scaled by slices and steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monai_semgan.jobs.contract import Job, JobRequest, Mode, State
from monai_semgan.jobs.job_entries import Entry

Kind = tuple[str | None, Mode | None]
"""Model and mode; no mode: a correction, whose time depends on the slices that follow the strokes."""

LAST_STEPS_WORTH, LAST_SHARE = 2.0, 0.05
"""What comes after the last step, before it was ever measured: so many steps, or this share of the time so far."""


@dataclass(frozen=True)
class Measured:
    """How long a job took.

    Attributes:
        seconds: from start to end, without pauses.
        closing: of it, after the last step; None if that is not known.
        slices: of the volume or range.
        steps: of the inversion.
    """

    seconds: float
    closing: float | None
    slices: int | None
    steps: int | None


@dataclass
class Estimates:
    """Remembers how long jobs took.

    Attributes:
        default_steps: of the models' modes.
        measured: the last one of every kind.
    """

    default_steps: Mapping[Kind, int] = field(default_factory=dict)
    measured: dict[Kind, Measured] = field(default_factory=dict)
    _slices: dict[tuple[object, ...], int] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Take in a job that has ended."""
        job = entry.job
        if job.slices and job.corrects is None:
            self._slices[_scan_of(job.request)] = job.slices
        if job.state is not State.done or job.started is None or job.finished is None:
            return
        seconds = max(0.0, job.finished - job.started - job.paused_seconds)
        closing = max(0.0, entry.worked() - entry.ticks[-1][0]) if entry.ticks else None
        steps = None if job.request.mode is Mode.preview and job.corrects is None else job.steps
        self.measured[_kind_of(job)] = Measured(seconds, closing, job.slices, steps)

    def forget_scans(self, jobs: Iterable[Job]) -> None:
        """Forget the slices of scans that none of these jobs is about."""
        kept = {_scan_of(job.request) for job in jobs}
        self._slices = {scan: count for scan, count in self._slices.items() if scan in kept}

    def seconds(self, model: str, mode: Mode) -> float | None:
        """Return how long the last scan took."""
        found = self.measured.get((model, mode))
        return None if found is None else round(found.seconds, 2)

    def measured_slices(self, model: str, mode: Mode) -> int | None:
        """Return how many slices the scan had that `seconds` tells of."""
        found = self.measured.get((model, mode))
        return None if found is None else found.slices

    def left(self, entry: Entry) -> float | None:
        """Estimate the seconds of work that a job still needs, below 0 if it should have ended; None: nobody knows."""
        job, worked = entry.job, entry.worked()
        if len(entry.ticks) > 1 and job.steps:
            (first, low), (last, high) = entry.ticks[0], entry.ticks[-1]
            each = (last - first) / max(1, high - low)
            return each * (job.steps - high) + self._closing(job, each, last) - (worked - last)
        whole = self._whole(job)
        return None if whole is None else whole - worked

    def _whole(self, job: Job) -> float | None:
        found = self.measured.get(_kind_of(job))
        if found is None:
            return None
        closing = found.closing or 0.0
        return ((found.seconds - closing) * self._more_steps(job, found) + closing) * self._more_slices(job, found)

    def _closing(self, job: Job, each: float, worked: float) -> float:
        found = self.measured.get(_kind_of(job))
        if found is None or found.closing is None:
            return max(LAST_STEPS_WORTH * each, LAST_SHARE * worked)
        return found.closing * self._more_slices(job, found)

    def _more_slices(self, job: Job, found: Measured) -> float:
        if job.corrects is not None:
            return 1.0
        slices = job.slices or self._slices.get(_scan_of(job.request))
        return slices / found.slices if slices and found.slices else 1.0

    def _more_steps(self, job: Job, found: Measured) -> float:
        if (job.request.mode is Mode.preview and job.corrects is None) or not found.steps:
            return 1.0
        if job.corrects is not None:
            return job.steps / found.steps if job.steps else 1.0
        steps = job.steps or job.request.steps or self.default_steps.get(_kind_of(job))
        return steps / found.steps if steps else 1.0


def _kind_of(job: Job) -> Kind:
    return job.request.model, job.request.mode if job.corrects is None else None


def _scan_of(request: JobRequest) -> tuple[object, ...]:
    return request.image, request.upload, request.slice_range_mm
