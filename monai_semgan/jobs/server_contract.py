"""What clients of the job API are told of the server and its models; a part of `contract`."""

from __future__ import annotations

from pydantic import Field

from monai_semgan.jobs.contract import JobId, Label, Mode, Model


class ModeInfo(Model):
    """A way to run a model."""

    name: Mode
    description: str
    steps: int | None = Field(default=None, description="unless the request says otherwise; null where there are none")
    seconds: float | None = Field(default=None, description="measured here for the last scan; null before")
    measured_slices: int | None = Field(default=None, description="of that scan: times grow with the slices")
    dice: dict[str, float] = Field(default_factory=dict, description="measured mean 3D Dice by modality")
    gain: dict[str, float] = Field(
        default_factory=dict, description="measured mean 3D Dice minus that of the preview, by modality"
    )
    worth_it: bool | None = Field(
        default=None,
        description="whether it is better than the preview by a mean Dice of 0.01 or more in one modality; "
        "null for the preview, and where it was not measured",
    )


class ModelInfo(Model):
    """A model that the server runs."""

    name: str
    version: str
    description: str
    sha256: str
    bytes: int = Field(description="size of the weights")
    modalities: list[str] = Field(description="what it has learnt from")
    slice_axis: tuple[float, float, float] = Field(description="RAS direction along which slices are counted")
    labels: list[Label]
    modes: list[ModeInfo]
    research_only: str


class ModelList(Model):
    """The models that the server runs."""

    models: list[ModelInfo]


class Worker(Model):
    """A process that computes."""

    device: str
    state: str = Field(description="starting, warming, ready, busy or stopped")
    job: JobId | None = None


class Health(Model):
    """How the server is."""

    product: str = Field(default="monai_semgan", description="tells this server from others")
    version: str
    api: str = Field(description="version of the job API")
    ready: bool = Field(description="the model is warm: a job starts at once if none is queued")
    workers: list[Worker]
    queued: int
    uptime_seconds: float
    disk_bytes: int = Field(description="of jobs and uploads")
    disk_limit_bytes: int
    upload_limit_bytes: int
    keep_seconds: float = Field(description="how long an ended job, with its files, stays")
    upload_keep_seconds: float = Field(description="how long an upload stays that no job uses")
    research_only: str
