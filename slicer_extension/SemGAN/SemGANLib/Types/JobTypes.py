"""Volumes that are sent, and the jobs that segment them, as plain data.

Lengths are in mm, durations in seconds, times in seconds since the epoch, coordinates RAS.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

ENDED = ("done", "cancelled", "interrupted", "failed")
"""States after which a job changes no more."""


@dataclass(frozen=True)
class JobRequest:
    """What to segment, and how. Exactly one of `image` and `upload` is given.

    Attributes:
        mode: `"preview"`, `"invert"` or `"refine"`.
        slice_range_mm: only slices whose centre lies between these along the model's slice axis.
        labels: names; None for all.
    """

    upload: str | None = None
    image: str | None = None
    model: str | None = None
    mode: str = "preview"
    modality: str | None = None
    steps: int | None = None
    slice_range_mm: tuple[float, float] | None = None
    labels: tuple[str, ...] | None = None
    client: str | None = "3D Slicer"

    def to_json(self) -> dict[str, Any]:
        """Write the request as the server reads it; what is None is left out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Job:
    """Where a job stands.

    Attributes:
        state: queued, warming, running, paused, done, cancelled, interrupted or failed.
        request: what was asked for.
        message: what is being done, or why it ended.
        position: jobs before this one, while it is queued.
        step: updates so far, of `steps`; for a preview, slices.
        loss: mean objective after every step.
        residual: of every slice so far, in units of the scan; empty for a preview.
        result_version: counts the results so far; 0 none yet.
        parts: files that can be fetched now.
        mine: whether it belongs to whoever asks; None if to nobody.
        corrects: id of the job whose result it corrects by strokes; None for all other jobs.
        correction: its number among the corrections of that job, from 1 on.
        joined: id of the later correction that it is computed together with; both have one result.
    """

    id: str
    state: str
    message: str = ""
    request: JobRequest | None = None
    position: int | None = None
    step: int = 0
    steps: int | None = None
    slices: int | None = None
    slices_converged: int = 0
    loss: tuple[float | None, ...] = ()
    residual: tuple[float | None, ...] = ()
    eta_seconds: float | None = None
    result_version: int = 0
    parts: tuple[str, ...] = ()
    created: float = 0.0
    finished: float | None = None
    mine: bool | None = None
    corrects: str | None = None
    correction: int | None = None
    joined: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it changes no more."""
        return self.state in ENDED


@dataclass(frozen=True)
class Upload:
    """A volume that was sent, for jobs to use until `expires`."""

    id: str
    expires: float
    shape: tuple[int, int, int] = (0, 0, 0)
    bytes: int = 0


@dataclass(frozen=True)
class UploadProgress:
    """A volume that is sent in parts; what has arrived stays at the server when the connection breaks.

    Attributes:
        received: bytes that have arrived.
        bytes: of the whole file.
        upload: when all has arrived and was read.
    """

    id: str
    received: int
    bytes: int
    upload: Upload | None = None
