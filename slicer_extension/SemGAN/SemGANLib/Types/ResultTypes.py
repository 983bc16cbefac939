"""What a job has found, as plain data. Lengths are in mm, volumes in ml, coordinates RAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .ModelTypes import Label, ModelId

MAPS = ("reconstruction", "residual", "uncertainty")
"""Parts of a result that are scalar volumes."""


@dataclass(frozen=True)
class Domain:
    """Whether the scan is like what the model knows.

    Attributes:
        score: 0 as in training, to 1.
        verdict: `"in domain"`, `"unusual"` or `"out of domain"`.
        expected_dice: by name of the organ.
    """

    score: float
    verdict: str
    advice: str = ""
    expected_dice: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something about a result that its reader should know.

    Attributes:
        code: kind, such as `"sides_swapped"` or `"cut_by_edge"`; others may come.
        level: `"info"` or `"warning"`: look before the result is used.
        labels: ids of the structures that it is about; none: all.
        text: for people.
    """

    code: str
    level: str
    labels: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Result:
    """What a job has found, so far (`partial`) or in the end.

    Attributes:
        version: `result_version` of the job that this belongs to.
        volumes_ml: by name of the organ.
        shape: voxels along I, J and K.
        affine: 4 x 4, voxel index to RAS mm.
        slice_centres: RAS mm, of the slices computed, in order.
        residual_per_slice: units of the scan; None for a preview.
        doubt_per_slice: 0 to 1; None where it is not assessed, an entry is None where nothing was found.
        findings: what was seen in the result; the notes in other words.
    """

    job: str
    version: int
    partial: bool
    mode: str
    labels: tuple[Label, ...]
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    model: ModelId
    parts: tuple[str, ...]
    modality: str = ""
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    slice_centres: tuple[tuple[float, float, float], ...] = ()
    residual_per_slice: tuple[float | None, ...] | None = None
    doubt_per_slice: tuple[float | None, ...] | None = None
    domain: Domain | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    latencies: Mapping[str, float] = field(default_factory=dict)
    research_only: str = ""
