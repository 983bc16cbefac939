"""What is sent to the server to correct a result by strokes, and what it tells of corrections, as plain data.

Voxels are those of the scan as the server has it; times are seconds since the epoch, lengths mm.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StrokeInput:
    """Voxels that are, or are not, of a structure.

    Attributes:
        structure: its name.
        runs: (first, length) of voxels that follow one another in the flat index i + I * (j + J * k), i fastest.
        positive: False for "not this structure here".
        kind: `"scribble"`, `"point"`, `"lasso"` or `"box"`.
    """

    structure: str
    runs: tuple[tuple[int, int], ...]
    positive: bool = True
    kind: str = "scribble"


@dataclass(frozen=True)
class CorrectionRequest:
    """Strokes, and how far they reach.

    Attributes:
        shape: voxels along I, J and K of the scan.
        affine: 4 x 4, voxel index to RAS mm, of the scan.
        reach_mm: slices so far from the touched ones follow; 0: none.
        locked: names of structures that keep every voxel.
        label: id of an upload with the label as it stands; None: the server's newest state.
    """

    strokes: tuple[StrokeInput, ...]
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    reach_mm: float
    locked: tuple[str, ...] = ()
    label: str | None = None
    client: str | None = "3D Slicer"

    def to_json(self) -> dict[str, Any]:
        """Write the request as the server reads it; what is None is left out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class CorrectionStep:
    """A correction of a job, as the server keeps it.

    Attributes:
        job: id of the job that computes it.
        undone: can be done again.
        joined: id of the later correction that it was computed together with.
    """

    number: int
    job: str
    state: str
    undone: bool = False
    joined: str | None = None
    message: str = ""


@dataclass(frozen=True)
class CorrectionList:
    """All corrections of a job that the server keeps, the oldest first.

    Attributes:
        current: number of the one in force; 0 for the job's own result.
    """

    job: str
    current: int
    steps: tuple[CorrectionStep, ...] = ()
