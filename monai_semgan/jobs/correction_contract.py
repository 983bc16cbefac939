"""What clients of the job API send and receive to correct a result by strokes; a part of `contract`.

A stroke is a set of voxels of the scan's own array, sent as runs in its flat index: `i + I * (j + J * k)` for voxel
(i, j, k) of a scan of I x J x K voxels, so that i varies fastest.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from monai_semgan.correction.correction_settings import CorrectionSettings
from monai_semgan.jobs.contract import JobId, Model, State

MAX_STROKES = 256
MAX_RUNS = 1_000_000
"""Of all strokes of a request together: a lasso across the slices has a run for every voxel."""

REACH_MM, LONGEST_REACH_MM = CorrectionSettings.reach_mm, 1000.0
"""How far slices follow if nobody says so, and at most."""

MAX_INDEX = 2**40
"""Of a voxel; larger numbers are no index of any scan."""
KEPT_CORRECTIONS = 50
"""Corrections of one job that are kept; the oldest go first."""

Run = Annotated[list[Annotated[int, Field(ge=0, le=MAX_INDEX)]], Field(min_length=2, max_length=2)]
StructureName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Row = Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]


class StrokeKind(str, Enum):
    """What a stroke's voxels mean.

    `scribble` and `lasso` (filled by the client): just these voxels. `point`: a small disc about its voxel.
    `box`: in its slices the structure lies inside; a negative one: nothing of it lies inside.
    """

    scribble = "scribble"
    point = "point"
    lasso = "lasso"
    box = "box"


class StrokeInput(Model):
    """What the reader has drawn: voxels that are, or are not, of a structure."""

    structure: StructureName = Field(description="name of a structure of the result")
    positive: bool = Field(default=True, description="false: not this structure here")
    kind: StrokeKind = StrokeKind.scribble
    runs: list[Run] = Field(
        min_length=1,
        max_length=MAX_RUNS,
        description="[first, length] of voxels that follow one another in the flat index i + I * (j + J * k)",
    )


class CorrectionRequest(Model):
    """How a result is corrected. Where strokes contradict one another, the last one counts."""

    strokes: list[StrokeInput] = Field(min_length=1, max_length=MAX_STROKES, description="in the order of drawing")
    reach_mm: float = Field(
        default=REACH_MM,
        ge=0.0,
        le=LONGEST_REACH_MM,
        description="slices so far away follow the strokes; 0: only their own slices",
    )
    locked: list[StructureName] = Field(
        default_factory=list, max_length=256, description="names of structures that keep every voxel"
    )
    shape: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=3, max_length=3, description="I, J, K: voxels of the scan, which the runs count"
    )
    affine: list[Row] | None = Field(
        default=None, min_length=4, max_length=4, description="voxel index to RAS mm; compared with the scan's if given"
    )
    label: JobId | None = Field(
        default=None,
        description="id of an upload with the label as it stands, on the scan's grid, if the reader has changed it "
        "by hand; the newest state counts when left out",
    )
    label_of: int | None = Field(
        default=None,
        ge=0,
        description="number of the newest correction that `label` shows, 0: none; strokes of later ones are followed "
        "once more, so that none is lost. The one in force when left out",
    )
    client: str | None = Field(
        default=None, max_length=64, description="name of the program that asks, for the server's log"
    )

    @model_validator(mode="after")
    def _not_too_many(self) -> CorrectionRequest:
        if sum(len(stroke.runs) for stroke in self.strokes) > MAX_RUNS:
            raise ValueError(f"the strokes have more than {MAX_RUNS} runs; send them in several requests")
        return self


class CorrectionStep(Model):
    """A correction in the history of a job."""

    number: int = Field(ge=1, description="counts up; a number never means another correction")
    job: JobId = Field(description="that computes it, and has its result")
    state: State
    structures: list[str] = Field(description="of its strokes, in their order")
    kinds: list[StrokeKind] = Field(description="of its strokes, each once")
    voxels: int = Field(description="of its strokes")
    reach_mm: float
    created: float
    message: str = ""
    undone: bool = Field(default=False, description="can be done again until another correction is made")
    joined: JobId | None = Field(
        default=None,
        description="the correction with which it was computed together, being the last of those that waited; they "
        "have one result, and are undone and done again together",
    )


class CorrectionHistory(Model):
    """All corrections of a job that are kept, the oldest first."""

    job: JobId = Field(description="the job that is corrected")
    current: int = Field(ge=0, description="number of the correction whose result is in force; 0: the job's own")
    steps: list[CorrectionStep]


class GoTo(Model):
    """Which state shall be in force: to undo, to do again, or to return to the job's own result."""

    number: int = Field(ge=0, description="of a correction; 0: the job's own result")
