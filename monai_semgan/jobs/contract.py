"""What clients of the job API send and receive. The OpenAPI document is made from these models: see `openapi.py`.

Lengths are in mm, volumes in ml, times in seconds since the epoch, durations in seconds. Coordinates are RAS.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

API_VERSION = "1.2"
"""Clients refuse a server with another first number."""

MODALITY = "^(CT|MR|DX|XR|CR|RG|PX|XC)$"
"""Spellings of the modalities; all but CT, MR and XC (photographs) are radiographs."""

MAX_STEPS = 10_000

ImageId = Annotated[str, StringConstraints(pattern=r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}$")]
"""Id of an image in the datastore: no separators, no leading dot."""

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Random id of a job or an upload."""


class Mode(str, Enum):
    """How a scan is segmented; as `semgan segment --mode`."""

    preview = "preview"
    invert = "invert"
    refine = "refine"


class State(str, Enum):
    """Where a job stands.

    `paused`: an inversion lets previews of others go first, and goes on where it was.
    `interrupted`: the server ended while the job ran; what was found until then is kept as a partial result.
    """

    queued = "queued"
    warming = "warming"
    running = "running"
    paused = "paused"
    done = "done"
    cancelled = "cancelled"
    interrupted = "interrupted"
    failed = "failed"


class Part(str, Enum):
    """A file of a result."""

    label = "label"
    reconstruction = "reconstruction"
    residual = "residual"
    uncertainty = "uncertainty"
    report = "report"


class VolumeFormat(str, Enum):
    """File format of a volume that is fetched."""

    nrrd = "nrrd"
    nifti = "nii.gz"


class Model(BaseModel):
    """Base of all models: unknown fields are refused, so that a mistyped one is noticed."""

    model_config = ConfigDict(extra="forbid")


class Problem(Model):
    """Body of every answer that is not a success."""

    detail: str = Field(description="what is wrong and what helps, in one sentence for people")


class JobRequest(Model):
    """What to segment, and how. Exactly one of `image` and `upload` is given."""

    image: ImageId | None = Field(default=None, description="id of an image in the datastore")
    upload: JobId | None = Field(default=None, description="id of an upload")
    model: str | None = Field(
        default=None, max_length=128, description="as `/semgan/models` names it; the first if left out"
    )
    mode: Mode = Mode.preview
    modality: str | None = Field(default=None, pattern=MODALITY, description="guessed from the values when left out")
    steps: int | None = Field(
        default=None, ge=1, le=MAX_STEPS, description="of the inversion; the model's own when left out"
    )
    objective: str | None = Field(
        default=None, max_length=64, description="of the inversion; the model's own when left out"
    )
    slice_range_mm: tuple[FiniteFloat, FiniteFloat] | None = Field(
        default=None, description="only slices whose centre lies between these, along the model's slice axis (RAS)"
    )
    labels: list[Annotated[str, StringConstraints(max_length=128)]] | None = Field(
        default=None, min_length=1, max_length=256, description="names; all when left out"
    )
    client: str | None = Field(
        default=None, max_length=64, description="name of the program that asks, for the server's log"
    )

    @model_validator(mode="after")
    def _one_source(self) -> JobRequest:
        if (self.image is None) == (self.upload is None):
            raise ValueError("give either image or upload")
        if self.slice_range_mm is not None and not self.slice_range_mm[0] < self.slice_range_mm[1]:
            raise ValueError("slice_range_mm must go from the lower to the higher position")
        return self


class Job(Model):
    """A job, as lists and polls show it."""

    id: JobId
    state: State
    request: JobRequest
    mine: bool | None = Field(
        default=None, description="whether the one who asks has started it; null where nobody knows who has"
    )
    message: str = Field(default="", description="what is being done, or why it ended, in one sentence")
    position: int | None = Field(default=None, description="jobs before this one, while it is queued")
    created: float
    started: float | None = None
    finished: float | None = None
    paused_seconds: float = Field(default=0.0, description="time between start and end in which previews went first")
    expires: float | None = Field(default=None, description="when an ended job and its files are removed")
    step: int = Field(default=0, description="updates of the codes so far; for a preview, slices so far")
    steps: int | None = Field(default=None, description="of all")
    slices: int | None = Field(default=None, description="of the volume or range")
    slices_converged: int = 0
    loss: list[float | None] = Field(
        default_factory=list, description="mean objective after every step; null where it was no number"
    )
    residual: list[float | None] = Field(
        default_factory=list, description="of every slice so far, in units of the scan; empty for a preview"
    )
    eta_seconds: float | None = Field(
        default=None, description="until its end, waiting included; null where nobody can tell, and when it is over"
    )
    result_version: int = Field(
        default=0, description="counts the results so far: 0 none yet; a higher number, a better one"
    )
    parts: list[Part] = Field(
        default_factory=list, description="files that can be fetched now; the report follows the end by some seconds"
    )
    corrects: JobId | None = Field(default=None, description="the job whose result this one corrects by strokes")
    correction: int | None = Field(default=None, description="its number among the corrections of that job, from 1 on")
    joined: JobId | None = Field(
        default=None, description="the later correction with which this one is computed together; both have one result"
    )


class JobList(Model):
    """All jobs that the server knows, the newest first."""

    jobs: list[Job]


class Code(Model):
    """An entry of a coding scheme."""

    scheme: str
    value: str
    meaning: str


class Label(Model):
    """A structure that a model finds."""

    id: int = Field(ge=1, le=255)
    name: str
    colour: tuple[int, int, int] = Field(description="red, green, blue, 0 to 255")
    category: Code
    kind: Code
    side: Code | None = None
    dice: dict[str, float] = Field(
        default_factory=dict,
        description="mean 3D Dice of the preview, as measured, by modality; of models, empty where it was not measured",
    )


class Domain(Model):
    """Whether the scan is like what the model knows."""

    score: float = Field(description="0 as in training, to 1")
    verdict: str = Field(description="in domain, unusual, or out of domain")
    advice: str
    expected_dice: dict[str, float] = Field(default_factory=dict, description="by name of the organ")


class FindingLevel(str, Enum):
    """How much a finding asks for: `warning`, look before the result is used; `info`, good to know."""

    info = "info"
    warning = "warning"


class Finding(Model):
    """Something about a result that its reader should know."""

    code: str = Field(
        max_length=64,
        pattern="^[a-z][a-z_]*$",
        description="kind, such as sides_swapped, mirrored_header, cut_by_edge, implausible_volume or "
        "modality_unlearnt; more may be added: show the text of those that are not known",
    )
    level: FindingLevel
    labels: list[int] = Field(default_factory=list, description="ids of the structures that it is about; none: all")
    text: str = Field(description="for people, in one or two sentences")


class ModelId(Model):
    """Which weights made a result."""

    name: str
    version: str
    sha256: str = Field(description="of the weights file")


class Result(Model):
    """What a job has found, so far (`partial`) or in the end. The volumes are fetched one by one."""

    job: JobId
    version: int = Field(description="`result_version` of the job that this belongs to")
    partial: bool
    mode: Mode
    modality: str
    labels: list[Label] = Field(description="those given out")
    volumes_ml: dict[str, float] = Field(description="by name of the organ")
    shape: tuple[int, int, int] = Field(description="voxels of label and maps: those of the scan")
    affine: list[list[float]] = Field(description="4 x 4, voxel index to RAS mm")
    slice_centres: list[tuple[float, float, float]] = Field(description="RAS mm, of the slices computed, in order")
    residual_per_slice: list[float | None] | None = Field(
        default=None, description="units of the scan; null for a preview"
    )
    doubt_per_slice: list[float | None] | None = Field(
        default=None,
        description="0 to 1; an entry is null where nothing was found in the slice, the list where none is assessed",
    )
    domain: Domain | None = None
    findings: list[Finding] = Field(
        default_factory=list, description="what was seen in the result, warnings first; the notes in other words"
    )
    model: ModelId
    notes: list[str] = Field(default_factory=list)
    latencies: dict[str, float] = Field(default_factory=dict, description="seconds by stage, and `total`")
    parts: list[Part]
    research_only: str


class Upload(Model):
    """A volume that was sent, for jobs to use."""

    id: JobId
    bytes: int
    expires: float
    shape: list[int] = Field(min_length=3, max_length=3)
    spacing: list[float] = Field(min_length=3, max_length=3, description="mm")
    empty: bool = Field(default=False, description="0 everywhere: a label without structures, but no scan")


class UploadProgress(Model):
    """A volume that is sent in parts; what has arrived stays when the connection breaks."""

    id: JobId
    received: int = Field(ge=0, description="bytes that have arrived: the `offset` of the next part")
    bytes: int = Field(ge=1, description="of the whole file")
    expires: float = Field(description="when it is removed if nothing more comes, or, if whole, is not used")
    upload: Upload | None = Field(default=None, description="when all has arrived and was read")
