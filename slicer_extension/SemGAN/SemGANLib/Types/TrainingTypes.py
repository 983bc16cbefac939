"""What a server tells of trainings and of the versions of its models, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STRUCTURE, TUNE = "structure", "tune"
"""Kinds of training: one more structure beside the old ones, or the model's own structures, better."""

ENDED = ("done", "failed", "cancelled", "interrupted")
"""States of a training after which nothing more happens by itself."""


@dataclass(frozen=True)
class TrainingRequest:
    """What is to be learnt, and for how long.

    Attributes:
        kind: `STRUCTURE` or `TUNE`.
        structure: name; empty for all that the labels hold (`TUNE` only).
        model: name; empty for the server's first.
        label: number of the structure in the labels, where no label names it.
        seconds: budget.
    """

    kind: str
    structure: str = ""
    model: str = ""
    label: int | None = None
    seconds: float = 300.0

    def to_json(self) -> dict[str, Any]:
        """Write it as the server reads it; what is not said is left out."""
        structure: dict[str, Any] = {"name": self.structure}
        if self.label is not None:
            structure["label"] = self.label
        content: dict[str, Any] = {"kind": self.kind, "seconds": self.seconds, "client": "3D Slicer SemGAN"}
        if self.structure:
            content["structures"] = [structure]
        if self.model:
            content["model"] = self.model
        return content


@dataclass(frozen=True)
class TrainingJob:
    """A training at the server.

    Attributes:
        state: queued, running, paused, or one of `ENDED`.
        structures: names.
        images: ids of those whose labels are used; `held_out` of those that the figures stand on.
        mine: whether this installation has begun it; None where nobody knows.
        step, steps: of all; steps are None before they are known.
        message: what is being done, or what came of it, in the server's words.
        figures: Dice of held-out labels by structure.
        parent: version that it began with; 0: as shipped.
        version: that has come of it; None before the end.
        created: seconds since the epoch.
    """

    id: str
    state: str
    kind: str = STRUCTURE
    model: str = ""
    structures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    mine: bool | None = None
    message: str = ""
    step: int = 0
    steps: int | None = None
    eta_seconds: float | None = None
    created: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    parent: int = 0
    version: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED


@dataclass(frozen=True)
class LabelledStructure:
    """A structure in final labels.

    Attributes:
        name: None where no label tells it.
        label: number in the labels.
        known: the model has it.
        images: ids of those whose final label holds it.
    """

    name: str | None
    label: int
    known: bool = False
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingLabels:
    """What can be learnt from: final labels that no second reader has rejected.

    Attributes:
        images: ids of those with such a label.
    """

    model: str
    images: tuple[str, ...] = ()
    structures: tuple[LabelledStructure, ...] = ()


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model; 0 is as shipped.

    Attributes:
        parent: version that it began with; None of version 0.
        kind: `"shipped"`, `STRUCTURE` or `TUNE`.
        created: seconds since the epoch.
        structures: that were learnt; of version 0, all.
        figures: Dice of held-out labels by structure.
        note: one sentence for people; may be empty.
        problem: why it cannot be used; empty where it can.
    """

    version: int
    parent: int | None = None
    kind: str = ""
    created: float = 0.0
    structures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    problem: str = ""


@dataclass(frozen=True)
class ModelVersions:
    """The versions of a model, the oldest first, and which one jobs use from now on."""

    model: str
    current: int
    versions: tuple[ModelVersion, ...] = ()
