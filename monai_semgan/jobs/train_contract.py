"""What clients of the training routes send and receive; as in `contract.py`.

Structures go by name. Scores are mean 3D Dice, 0 to 1, of labelled scans that trained nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from monai_semgan.jobs.contract import ImageId, JobId, Model

SECONDS, SHORTEST, LONGEST = 300.0, 10.0, 24 * 3600.0
"""Time that a training takes if nobody says so, and bounds of it, in seconds."""

Colour = Annotated[int, Field(ge=0, le=255)]

StructureName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class TrainKind(str, Enum):
    """What is learnt.

    `structure`: one that the model does not know, beside all others, which stay as they are to the voxel.
    `tune`: the model's own structures, better; structures that it does not know may come along.
    """

    structure = "structure"
    tune = "tune"


class TrainState(str, Enum):
    """Where a training stands; names as those of jobs.

    `paused`: jobs go first, and it goes on where it was when none runs or waits.
    `interrupted`: the server ended meanwhile; `resume` lets it go on.
    """

    queued = "queued"
    running = "running"
    paused = "paused"
    done = "done"
    cancelled = "cancelled"
    interrupted = "interrupted"
    failed = "failed"


class StructureInput(Model):
    """A structure to learn."""

    name: StructureName
    label: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="its id in the labels, where the server does not know it: labels tell the names of their segments",
    )
    colour: tuple[Colour, Colour, Colour] | None = Field(
        default=None, description="red, green, blue; the structure's usual one, or a free one, when left out"
    )


class TrainRequest(Model):
    """What to learn, from which labels, for how long."""

    kind: TrainKind = TrainKind.structure
    model: str | None = Field(
        default=None, max_length=128, description="as `/semgan/models` names it; the first if left out"
    )
    structures: list[StructureInput] = Field(
        default_factory=list, max_length=32, description="to learn; for `tune`, all that the labels hold when left out"
    )
    images: list[ImageId] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="with a label `final`; all that hold one of the structures when left out",
    )
    held_out: int | None = Field(
        default=None, ge=0, le=1000, description="labelled images kept for the scores; one of three or more if left out"
    )
    seconds: float = Field(
        default=SECONDS, ge=SHORTEST, le=LONGEST, allow_inf_nan=False, description="of learning, pauses left out"
    )
    client: str | None = Field(
        default=None, max_length=64, description="name of the program that asks, for the server's log"
    )

    @model_validator(mode="after")
    def _has_structures(self) -> TrainRequest:
        if self.kind is TrainKind.structure and not self.structures:
            raise ValueError("name the structure to learn")
        names = [one.name.casefold() for one in self.structures]
        if len(set(names)) < len(names):
            raise ValueError("a structure is named twice")
        return self


class Training(Model):
    """A training, as lists and polls show it."""

    id: JobId
    state: TrainState
    kind: TrainKind
    model: str = Field(description="as `/semgan/models` names it")
    structures: list[str] = Field(description="to learn")
    images: list[str] = Field(description="whose labels are used, those held out among them")
    held_out: list[str] = Field(default_factory=list, description="of these, the ones that the scores stand on")
    mine: bool | None = Field(
        default=None, description="whether the one who asks has started it; null where nobody knows who has"
    )
    message: str = Field(default="", description="what is being done, or why it ended, in one sentence")
    seconds: float = Field(description="of learning, as asked for")
    step: int = 0
    steps: int | None = Field(default=None, description="of all; null before it is known")
    eta_seconds: float | None = Field(
        default=None, description="until its end, pauses to come left out; null where nobody can tell, or it is over"
    )
    created: float
    started: float | None = None
    finished: float | None = None
    paused_seconds: float = Field(default=0.0, description="time between start and end in which jobs went first")
    figures: dict[str, float] = Field(
        default_factory=dict, description="Dice by structure on what was held out; empty if nothing was"
    )
    parent: int = Field(default=0, ge=0, description="version of the model that it begins with; 0: as shipped")
    version: int | None = Field(default=None, ge=1, description="of the model that has come of it, in use from then on")


class TrainingList(Model):
    """All trainings that the server knows, the newest first."""

    trainings: list[Training]


class LabelledStructure(Model):
    """A structure in final labels."""

    name: str | None = Field(description="null where no label tells it: then give `label` in a request")
    label: int = Field(description="id in the labels", ge=1, le=255)
    known: bool = Field(description="whether the model has it")
    images: list[str] = Field(description="whose final label holds it")


class TrainingLabels(Model):
    """What may be trained with: final labels that no second reader has rejected."""

    model: str
    images: list[str] = Field(description="with a final label")
    structures: list[LabelledStructure]


class ModelVersion(Model):
    """A version of a model. Version 0 is as shipped."""

    version: int = Field(ge=0)
    parent: int | None = Field(default=None, description="version that it began with; null of version 0")
    kind: str = Field(description="shipped, structure or tune")
    created: float
    structures: list[str] = Field(default_factory=list, description="that were learnt; of version 0, all")
    images: list[str] = Field(default_factory=list, description="whose labels were learnt from")
    held_out: list[str] = Field(default_factory=list, description="of these, the ones that the scores stand on")
    figures: dict[str, float] = Field(default_factory=dict, description="Dice by structure on what was held out")
    sha256: str = Field(description="of the weights")
    note: str = Field(default="", description="one sentence for people")
    problem: str = Field(default="", description="why it cannot be used; empty where it can")


class ModelVersions(Model):
    """The versions of a model, the oldest first."""

    model: str
    current: int = Field(description="version that jobs use from now on")
    versions: list[ModelVersion]


class VersionChoice(Model):
    """Which version to use."""

    version: int = Field(ge=0, le=2**31)
