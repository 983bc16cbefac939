"""What the panel shows, as plain data that the logic hands out. Texts are sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .Types.JobTypes import Job
from .Types.ModelTypes import Model
from .Types.ResultTypes import Result
from .Types.ServerTypes import Health

INFO, WARNING, ERROR = "info", "warning", "error"
"""Levels of a message."""

EXPORTING, UPLOADING, IMPORTING, LOST = "exporting", "uploading", "importing", "lost"
"""Phases of a run that the server does not know; its others are the states of the job."""


@dataclass(frozen=True)
class Message:
    """Something the user should know: what happened, and what to do."""

    level: str
    text: str


@dataclass(frozen=True)
class Connection:
    """Which server the module speaks to.

    Attributes:
        state: `"off"`, `"connecting"`, `"on"` or `"failed"`.
        text: connected to what, or why not and what to do.
        local: the server is on this computer: volumes stay here.
        health: as last heard; asked for again while the server is warming up.
        user: who is logged in, at a server with MONAI Label's log-in.
        login: failed for want of a name and password of MONAI Label's log-in, or a wrong one.
        untrusted: failed for want of the server's certificate, or a wrong one.
    """

    state: str = "off"
    address: str = ""
    text: str = ""
    local: bool = True
    health: Health | None = None
    models: tuple[Model, ...] = ()
    user: str = ""
    login: bool = False
    untrusted: bool = False


@dataclass(frozen=True)
class Submit:
    """A label on its way to the server's datastore.

    Attributes:
        active: whether one is.
        text: how far its scan is, as long as that is being sent; empty otherwise.
    """

    active: bool = False
    text: str = ""


@dataclass(frozen=True)
class Batch:
    """Previews of many images of the server's datastore, one after the other.

    Attributes:
        done: images, those that failed among them.
        total: None before the server has counted.
        running: it goes on; otherwise it has ended, or there was none.
        text: where it stands, or how it ended; empty if there was none.
    """

    done: int = 0
    failed: int = 0
    total: int | None = None
    running: bool = False
    text: str = ""


@dataclass(frozen=True)
class LeftJob:
    """A job of this installation that goes on at the server and that no run here follows, as after a crash.

    Attributes:
        image: id in the datastore, whose job can be taken up; empty: the job can only be ended.
        created: seconds since the epoch.
    """

    id: str
    image: str
    mode: str
    state: str
    created: float


@dataclass(frozen=True)
class Moved:
    """How far a volume on its way to or from the server is.

    Attributes:
        done: bytes.
        total: bytes; None where that is not known.
        speed: bytes a second, of the last seconds; None while that is not known.
        waiting: the connection is broken; another try follows.
    """

    done: int
    total: int | None = None
    speed: float | None = None
    seconds_left: float | None = None
    waiting: bool = False


@dataclass(frozen=True)
class Run:
    """A preview or refinement of a volume, under way or just ended.

    Attributes:
        volume_id: id of the volume node in the scene.
        mode: `"preview"`, `"invert"` or `"refine"`.
        phase: one of `EXPORTING`, `UPLOADING`, `IMPORTING`, `LOST` (the server does not answer at the moment), or the
            state of the job: queued, warming, running, done, cancelled, interrupted, failed.
        text: where it stands, such as `"Step 12 of 60, 31 of 90 slices done, about 40 s left"`.
        fraction: 0 to 1; None while it cannot be told.
        active: it can be cancelled; otherwise it has ended.
        job: as last heard from the server.
    """

    volume_id: str
    mode: str
    phase: str
    text: str = ""
    fraction: float | None = None
    active: bool = True
    job: Job | None = None


@dataclass(frozen=True)
class Outcome:
    """The newest result of a volume, in the scene.

    Attributes:
        maps: id of the volume node by `"reconstruction"`, `"residual"` and `"uncertainty"`; those there are.
        warning: plain words where the scan is unlike what the model knows; empty otherwise.
        job: id of the job that made it.
        result: what the server said of it; after the scene was loaded from a file, what the scene remembers.
    """

    volume_id: str
    segmentation_id: str
    maps: Mapping[str, str]
    warning: str
    job: str
    result: Result
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrganVolume:
    """A row of the table of volumes.

    Attributes:
        measured_ml: of the segment as it is now, edits included.
        server_ml: of the result as it came; None for a segment that the user added.
    """

    name: str
    colour: tuple[int, int, int]
    measured_ml: float
    server_ml: float | None = None


@dataclass(frozen=True)
class SliceValue:
    """A point of the plot over slices.

    Attributes:
        centre: RAS mm of the slice's centre.
        position: mm along the model's slice axis.
        residual: units of the scan.
        uncertainty: 0 to 1.
    """

    centre: tuple[float, float, float]
    position: float
    residual: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True)
class Images:
    """Images of the server's datastore, as last heard.

    Attributes:
        labelled: by id, tags of the labels.
    """

    ids: tuple[str, ...] = ()
    labelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredLabel:
    """A label that the server has for an image.

    Attributes:
        tag: `"final"`, `"preliminary"` or `"original"` (a model's).
        saved: ISO time.
        annotator: who submitted it.
        edited: it differs from what the model found; None where that is not known.
        verdict: of a second reader, `"accepted"` or `"rejected"`; empty before.
        reviewer, comment: who that was, and what he or she said.
    """

    tag: str
    saved: str = ""
    annotator: str = ""
    model: str = ""
    edited: bool | None = None
    verdict: str = ""
    reviewer: str = ""
    comment: str = ""


@dataclass(frozen=True)
class StoredLabels:
    """Labels that the server has for the image of a volume.

    Attributes:
        volume_id: of the volume node.
        image: id in the datastore.
    """

    volume_id: str
    image: str
    labels: tuple[StoredLabel, ...] = ()
