"""What server and worker say to each other in JSON lines, see `monai_semgan.utils.processes`.

The server says `run` (with a `Task`), `cancel` and nothing more.
The worker says `warming`, `ready`, `started`, `paused`, `resumed`, `progress`, `result`, `parts`, `end` and `broken`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CorrectionTask:
    """What a worker needs to know of a correction by strokes, beside the rest of its `Task`.

    Attributes:
        root: id of the job that is corrected.
        state: id of the job whose result is `label`; empty if it came with the strokes.
        label: file of the label as it stands.
        latents: file of the latents that were found until then; need not be there.
        requests: files of what was asked for, in order.
        earlier: the same of the corrections that the label shows, whose strokes hold on where it does.
        result: folder of the result that is corrected.
        reach_mm: how far slices follow the strokes.
        locked: ids that keep every voxel.
        dropped: number of the newest result that was dropped; those to come have higher ones.
    """

    root: str
    state: str
    label: str
    latents: str
    requests: tuple[str, ...]
    earlier: tuple[str, ...]
    result: str
    reach_mm: float
    locked: tuple[int, ...] = ()
    dropped: int = 0


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a job.

    Attributes:
        job: id.
        image: file.
        results: folder for the results.
        bundle: folder of the model.
        mode: `preview`, `invert` or `refine`.
        labels: ids to give out.
        modality: `CT` or `MR`; None to guess.
        steps: of the inversion; None for the bundle's.
        objective: of the inversion; None for the bundle's.
        slice_range_mm: only slices between these; None for all.
        report: whether the page for people is written, which takes seconds.
        quick: whether it goes before what the worker is doing, which is paused meanwhile.
        image_state: fingerprint of the scan's files when the job was asked for; None if that does not matter.
        model: its name, as clients know it; empty: as its metadata says.
        correction: what is corrected; None for a segmentation.
    """

    job: str
    image: str
    results: str
    bundle: str
    mode: str
    labels: tuple[int, ...]
    modality: str | None = None
    steps: int | None = None
    objective: str | None = None
    slice_range_mm: tuple[float, float] | None = None
    report: bool = True
    quick: bool = False
    image_state: str | None = None
    model: str = ""
    correction: CorrectionTask | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """Read what `to_dict` has made."""
        correction = values.get("correction")
        return cls(**{**values, "correction": None if correction is None else CorrectionTask(**correction)})

    def to_dict(self) -> dict[str, Any]:
        """Return the task in JSON's types."""
        return asdict(self)
