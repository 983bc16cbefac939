"""What the server sends and what is sent to it, as plain data. Fields that this version does not know are ignored.

Lengths are in mm, volumes in ml, durations in seconds, times in seconds since the epoch, coordinates RAS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API_MAJOR = 1
"""First number of the job API's version that this library speaks."""

PRODUCT = "monai_semgan"
"""How the server names itself."""

ENDED = ("done", "cancelled", "interrupted", "failed")
"""States after which a job changes no more."""

MAPS = ("reconstruction", "residual", "uncertainty")
"""Parts of a result that are scalar volumes."""


@dataclass(frozen=True)
class Code:
    """An entry of a coding scheme."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """A structure that a model finds.

    Attributes:
        colour: red, green, blue, 0 to 255.
        side: right or left, of paired organs.
        dice: measured mean 3D Dice of the preview by modality; no part of what the structure is.
    """

    id: int
    name: str
    colour: tuple[int, int, int]
    category: Code
    kind: Code
    side: Code | None = None
    dice: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Mode:
    """A way to run a model.

    Attributes:
        steps: of the inversion unless asked otherwise; None where there are none.
        seconds: measured by the server for its last scan; None before.
        dice: measured mean 3D Dice by modality.
        gain: measured mean 3D Dice minus that of the preview, by modality.
        worth_it: whether it is measurably better than the preview; None where it was not measured.
    """

    name: str
    description: str = ""
    steps: int | None = None
    seconds: float | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    worth_it: bool | None = None


@dataclass(frozen=True)
class Model:
    """A model that the server runs.

    Attributes:
        sha256: of the weights.
        slice_axis: RAS direction along which slices are counted.
    """

    name: str
    version: str
    sha256: str
    labels: tuple[Label, ...]
    modes: tuple[Mode, ...]
    description: str = ""
    modalities: tuple[str, ...] = ()
    slice_axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    bytes: int = 0
    research_only: str = ""


@dataclass(frozen=True)
class Worker:
    """A process of the server that computes."""

    device: str
    state: str


@dataclass(frozen=True)
class Health:
    """How the server is.

    Attributes:
        product: tells this server from others.
        api: version of the job API.
        ready: a job starts at once if none is queued.
        keep_seconds: how long ended jobs and unused uploads are kept; None where an older server does not say.
    """

    product: str = PRODUCT
    version: str = ""
    api: str = ""
    ready: bool = False
    queued: int = 0
    upload_limit_bytes: int | None = None
    keep_seconds: float | None = None
    workers: tuple[Worker, ...] = ()
    research_only: str = ""


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
class ModelId:
    """Which weights made a result."""

    name: str
    version: str
    sha256: str


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


@dataclass(frozen=True)
class BatchStatus:
    """How far the server is with many images.

    Attributes:
        status: in MONAI Label's words: SUBMITTED, RUNNING, DONE, STOPPED or ERROR.
        done: images, those that failed among them.
        total: None before it has begun.
        problem: why it ended early.
        failures: images that failed and why; of many, the first.
    """

    status: str
    done: int = 0
    failed: int = 0
    total: int | None = None
    problem: str = ""
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status in ("SUBMITTED", "RUNNING")


@dataclass(frozen=True)
class Access:
    """What a server wants to know of whoever asks, and by what it is known itself.

    Attributes:
        key: API key; empty for none.
        certificate: file of a certificate that is trusted beside those of the application; empty for none.
        client: random id of this installation, by which a server knows whose jobs are whose.
        user: name in MONAI Label's log-in; empty where there is none.
        password: never stored.
    """

    key: str = field(default="", repr=False)
    certificate: str = ""
    client: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class StoredImage:
    """An image of the server's datastore.

    Attributes:
        labels: tags of the labels that it has, such as `"final"`.
    """

    id: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelState:
    """A label of the datastore at some moment.

    Attributes:
        tag: `"final"` for what may be trained with, `"preliminary"`, or `"original"` for a model's.
        etag: changes with the label; empty where there is none.
    """

    tag: str
    etag: str = ""


@dataclass(frozen=True)
class LabelReview:
    """What a second reader says of a label.

    Attributes:
        verdict: `"accepted"` or `"rejected"`.
        when: ISO time.
    """

    reviewer: str
    verdict: str
    comment: str = ""
    when: str = ""


@dataclass(frozen=True)
class LabelFacts:
    """A label of the datastore, and where it comes from.

    Attributes:
        saved: ISO time.
        annotator: who submitted it.
        model: that it was made with.
        edited: whether it differs from what the model found; None where that is not known.
        versions: how many earlier ones the server keeps.
    """

    state: LabelState
    saved: str = ""
    annotator: str = ""
    model: str = ""
    edited: bool | None = None
    review: LabelReview | None = None
    versions: int = 0


def names(labels: tuple[Label, ...]) -> list[str]:
    """List the names of labels in order."""
    return [label.name for label in labels]


def known_structures(models: tuple[Model, ...]) -> dict[str, int]:
    """Collect the numbers of the structures that models find, by name; the first model's where they differ."""
    return {label.name: label.id for model in reversed(models) for label in model.labels}
