"""What a run is to do, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..Protocols.ClientProtocol import Client
from ..Scene.Records import Record
from ..Types.JobTypes import JobRequest
from ..Views import Run
from .Results import Target


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        request: without the id of the upload.
        maps: whether maps are fetched.
        name: of a new segmentation node.
        compressed: whether the volume is compressed on its way.
    """

    request: JobRequest
    maps: bool
    name: str
    compressed: bool


@dataclass(frozen=True)
class RunCallbacks:
    """What a run calls in the main thread.

    Attributes:
        on_change: called with a `Run` whenever something is new.
        on_result: called after a result, partial or final, was put into the scene.
        on_failure: called once with the `Run` if it has ended without all of its result.
        remove: called with the client and the id of an upload that is of no use any more.
    """

    on_change: Callable[[Run], None]
    on_result: Callable[[Record, Target], None]
    on_failure: Callable[[Run], None]
    remove: Callable[[Client, str], None] = lambda client, upload: None
